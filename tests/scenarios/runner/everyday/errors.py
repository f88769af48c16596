from faena import task

@task
def safe_deploy(c):
    """Despliegue con manejo de errores"""
    try:
        c.run("git pull origin main")
        c.run("docker-compose build")
        c.run("docker-compose up -d")
        print("✅ Despliegue exitoso")
    except Exception as e:
        print(f"❌ Error en despliegue: {e}")
        # Rollback automático
        c.run("docker-compose down")
        raise
