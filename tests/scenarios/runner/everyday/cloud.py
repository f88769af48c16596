from faena import task

@task
def deploy_aws(c, stack_name="my-app"):
    """Desplegar a AWS"""
    c.run(f"aws cloudformation deploy --stack-name {stack_name} --template-file template.yml")
    c.run(f"aws s3 sync dist/ s3://{stack_name}-bucket/")

@task
def kubernetes_deploy(c, namespace="default"):
    """Desplegar a Kubernetes"""
    c.run(f"kubectl apply -f k8s/ -n {namespace}")
    c.run(f"kubectl rollout status deployment/app -n {namespace}")
