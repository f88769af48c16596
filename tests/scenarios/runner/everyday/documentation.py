from faena import task

@task
def docs_build(c):
    """Construir documentación"""
    c.run("sphinx-build docs/ build/docs")
    c.run("cp -r build/docs/ public/")

@task
def docs_serve(c, port=8000):
    """Servir documentación localmente"""
    c.run(f"python -m http.server {port} --directory public/")
