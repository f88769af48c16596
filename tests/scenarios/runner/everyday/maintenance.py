from faena import task

@task
def schedule_maintenance(c):
    """Programar tareas de mantenimiento vía task queue"""
    # Usar task runner para orquestar
    c.run("python manage.py collectstatic --noinput")
    # Programar tareas asíncronas
    from celery_app import app
    app.send_task('cleanup_old_files')
    app.send_task('generate_reports')
    app.send_task('update_search_index')
