from faena import task

@task
def deploy(c, environment=None):
    """Despliegue condicional por ambiente"""
    if not environment:
        environment = 'staging'
    if environment == 'production':
        confirm = input("¿Desplegar a producción? (y/n): ")
        if confirm.lower() != 'y':
            return
    c.run(f"ansible-playbook deploy-{environment}.yml")
