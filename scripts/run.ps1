# Sets yallmp up in .venv (the first time) and runs it in the foreground:
#
#   scripts\run.ps1                     with $env:YALLMP_CONFIG, .\config.yaml or the shipped one
#   scripts\run.ps1 -c my.yaml -p 9000  options as of yallmp
#   scripts\run.ps1 check my.yaml       commands, too
$ErrorActionPreference = "Stop"

$root = Split-Path -Parent $PSScriptRoot
& (Join-Path $PSScriptRoot "install.ps1")
if ($LASTEXITCODE) { exit $LASTEXITCODE }
if (-not $env:YALLMP_CONFIG -and -not (Test-Path "config.yaml")) {
    $env:YALLMP_CONFIG = Join-Path $root "config.yaml"
}
Write-Host "+ .venv\Scripts\yallmp $args"
& (Join-Path $root ".venv\Scripts\yallmp.exe") @args
exit $LASTEXITCODE
