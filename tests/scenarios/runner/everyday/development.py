from faena import task

# tasks/dev_tasks.py
@task
def dev_server(c, port=8000):
    """Iniciar servidor de desarrollo"""
    c.run(f"python manage.py runserver {port}")

@task
def migrations(c):
    """Crear y aplicar migraciones"""
    c.run("python manage.py makemigrations")
    c.run("python manage.py migrate")

@task
def seed_data(c):
    """Poblar base de datos con datos de prueba"""
    c.run("python manage.py loaddata fixtures/*.json")
