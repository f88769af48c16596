from faena import run, task

@task
def test_parallel(c):
    """Ejecutar tests en paralelo"""
    commands = [
        "pytest tests/unit/",
        "pytest tests/integration/", 
        "pytest tests/api/"
    ]
    # Ejecución paralela (depende del task runner)
    for cmd in commands:
        run(cmd, asynchronous=True)
