from faena import task

# tasks/ds_tasks.py
@task
def download_dataset(c, dataset_name):
    """Descargar dataset"""
    c.run(f"kaggle datasets download {dataset_name}")
    c.run(f"unzip {dataset_name}.zip")

@task
def train_model(c, model_type="random_forest"):
    """Entrenar modelo de ML"""
    c.run(f"python src/train.py --model {model_type}")

@task
def evaluate_model(c):
    """Evaluar modelo entrenado"""
    c.run("python src/evaluate.py")
    c.run("python src/generate_metrics.py")
