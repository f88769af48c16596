from faena import task
from celery_app import chain, evaluate_results, process_raw_data, train_models

@task
def data_pipeline(c):
    """Pipeline híbrido: task runner + task queues"""
    # Fase 1: Task runner (preparación)
    c.run("python scripts/download_data.py")
    c.run("python scripts/validate_schema.py")
    # Fase 2: Task queues (procesamiento distribuido)
    from celery_app import app
    chain(
        process_raw_data.s(),
        train_models.s(),
        evaluate_results.s()
    ).delay()
