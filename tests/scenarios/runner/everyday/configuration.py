from faena import Config, task

# Configuración por ambiente
config = Config({
    'dev': {
        'database_url': 'sqlite:///dev.db',
        'debug': True
    },
    'prod': {
        'database_url': 'postgresql://...',
        'debug': False
    }
})

@task
def run_app(c, env='dev'):
    """Ejecutar app con configuración específica"""
    env_config = config[env]
    c.run(f"DATABASE_URL={env_config['database_url']} python app.py")
