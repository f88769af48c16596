# tasks.py
from faena import task

@task
def test(c, coverage=False):
    """Ejecutar tests"""
    cmd = "pytest tests/"
    if coverage:
        cmd += " --cov=app"
    c.run(cmd)

@task
def deploy(c, environment='staging'):
    """Desplegar aplicación"""
    c.run(f"ansible-playbook deploy.yml -i {environment}")

@task
def setup(c):
    """Setup completo del proyecto"""
    test(c)
    c.run("docker-compose build")
    c.run("docker-compose up -d")
