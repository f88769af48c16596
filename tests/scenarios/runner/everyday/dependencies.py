from faena import task

@task
def clean(c):
    """Limpiar archivos temporales"""
    c.run("rm -rf build/ dist/ *.egg-info")

@task(pre=[clean])
def build(c):
    """Construir paquete"""
    c.run("python setup.py sdist bdist_wheel")

@task(post=[build])
def release(c):
    """Crear release completo"""
    c.run("git tag v1.0.0")
    c.run("git push --tags")
