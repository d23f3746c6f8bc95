"""The WSGI application: `gunicorn app:app` (make serve), or `python app.py` for a quick look."""

from brain_cnn.web import create_app, serve

if __name__ == "__main__":
    serve()
else:
    app = create_app()
