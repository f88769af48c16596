from faena import task

# ✅ Nombres descriptivos y acciones
@task
def database_backup(c): ...

@task 
def deploy_staging(c): ...

@task
def run_migrations(c): ...

# ❌ Nombres ambiguos
@task
def do_stuff(c): ...

@task
def thing(c): ...
