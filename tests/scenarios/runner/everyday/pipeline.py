from faena import task

@task
def ci_full(c):
    """Pipeline completo de CI"""
    test(c)
    lint(c)
    security_scan(c)
    build_docker(c)
    push_docker(c)

@task
def lint(c):
    """Análisis de código"""
    c.run("flake8 app/")
    c.run("black --check app/")
    c.run("mypy app/")

@task
def security_scan(c):
    """Escaneo de seguridad"""
    c.run("bandit -r app/")
    c.run("safety check")

@task
def test(c):
    c.run("pytest tests/")

@task
def build_frontend(c):
    """Compilar assets frontend"""
    c.run("npm run build")
    c.run("python manage.py collectstatic --noinput")

@task
def build_docker(c, tag="latest"):
    """Construir imagen Docker"""
    c.run(f"docker build -t myapp:{tag} .")
    c.run(f"docker tag myapp:{tag} registry.company.com/myapp:{tag}")

@task
def push_docker(c):
    c.run("docker push myapp:latest")
