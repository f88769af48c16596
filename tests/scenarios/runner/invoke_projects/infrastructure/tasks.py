import json

from invoke import Config, Exit, Responder, task

ENVIRONMENTS = Config(
    {
        "staging": {"region": "eu-west-1", "replicas": 1, "protected": False},
        "production": {"region": "eu-central-1", "replicas": 3, "protected": True},
    }
)


def settings_of(name):
    try:
        return ENVIRONMENTS[name]
    except KeyError:
        raise Exit("no environment {!r}: {}".format(name, ", ".join(sorted(["staging", "production"]))))


@task
def plan(c, env="staging"):
    """Show what would change."""
    settings = settings_of(env)
    with c.cd("terraform"), c.prefix("export TF_WORKSPACE={}".format(env)):
        c.run("terraform plan -var region={} -var replicas={}".format(settings.region, settings["replicas"]))


@task(pre=[plan])
def apply(c, env="staging", auto_approve=False):
    """Change it."""
    settings = settings_of(env)
    if settings.protected and not auto_approve:
        if input("Apply to {}? ".format(env)) != "yes":
            raise Exit("not applied")
    c.run("terraform apply -auto-approve", env={"TF_WORKSPACE": env, "TF_VAR_region": settings.region})


@task
def unlock(c):
    """Answer the vault's question."""
    secret = Responder(pattern=r"Vault password: ", response="open sesame\n")
    result = c.run("vault unlock", watchers=[secret], hide=True)
    print("unlocked" if "welcome" in result.stdout else "still locked")


@task
def outputs(c, env="staging"):
    """Print the outputs as a table."""
    with c.prefix("export TF_WORKSPACE={}".format(env)):
        found = json.loads(c.run("terraform output -json", hide="out").stdout)
    for key, value in sorted(found.items()):
        print("{:<10}{}".format(key, value["value"]))


@task
def hosts(c):
    c.sudo("systemctl restart nginx", user="deploy", hide=True)
