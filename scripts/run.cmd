@echo off
rem Windows does not run .ps1 files from a prompt; this runs the one beside it.
powershell -NoProfile -ExecutionPolicy Bypass -File "%~dp0run.ps1" %*
exit /b %ERRORLEVEL%
