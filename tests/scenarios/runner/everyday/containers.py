from faena import task

@task
def docker_compose(c, command="up"):
    """Gestionar Docker Compose"""
    if command == "build":
        c.run("docker-compose build")
    elif command == "up":
        c.run("docker-compose up -d")
    elif command == "down":
        c.run("docker-compose down")
    elif command == "logs":
        c.run("docker-compose logs -f")

@task
def db_migrate(c):
    """Migrar base de datos en contenedor"""
    c.run("docker-compose exec web python manage.py migrate")
