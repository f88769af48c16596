from faena import task

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
