# Puts yallmp and what it needs into .venv beside this folder, and nowhere else.
#
#   scripts\install.ps1            to run it
#   scripts\install.ps1 test       to test it as well
#   scripts\install.ps1 dev        everything that working on it takes
#
# $env:PYTHON names the Python to use (3.10 or later; default: the first that fits).
# Where nothing changed since the last time, this does nothing.
param([string] $Extra = "")
$ErrorActionPreference = "Stop"

$root = Split-Path -Parent $PSScriptRoot
$venv = Join-Path $root ".venv"
$suffix = if ($Extra) { "-$Extra" } else { "" }
$stamp = Join-Path $venv "yallmp-installed$suffix"
$venvPython = Join-Path $venv "Scripts\python.exe"

function Stop-Because([string] $message) {
    [Console]::Error.WriteLine("yallmp: $message")
    exit 1
}

function Show([string] $program, [string[]] $arguments) {
    Write-Host "+ $program $arguments"
    & $program @arguments
    if ($LASTEXITCODE -ne 0) { Stop-Because "that failed (status $LASTEXITCODE)" }
}

function Test-Python([string] $program) {
    if (-not (Get-Command $program -ErrorAction SilentlyContinue)) { return $false }
    try { & $program -c "import sys; sys.exit(sys.version_info < (3, 10))" 2>$null | Out-Null } catch { return $false }
    return $LASTEXITCODE -eq 0
}

function Find-Python {
    if ($env:PYTHON) {
        if (Test-Python $env:PYTHON) { return $env:PYTHON }
        Stop-Because "PYTHON=$env:PYTHON is not a Python 3.10 or later."
    }
    foreach ($name in "python", "python3", "py") {
        if (Test-Python $name) { return $name }
    }
    Stop-Because "Python 3.10 or later is needed, and none was found (https://www.python.org/downloads/)."
}

# What the installation depends on: the Python, the place, and what setup.py says.
function Get-Fingerprint([string] $python) {
    $identity = & $python -c "import sys; print(sys.version_info[:3], sys.base_prefix)"
    $sources = "setup.py", "pyproject.toml", "yallmp\__init__.py" | ForEach-Object { (Get-FileHash (Join-Path $root $_)).Hash }
    return (@($identity, $root) + $sources) -join "`n"
}

$python = Find-Python
$fingerprint = Get-Fingerprint $python
if ((Test-Path $stamp) -and ((Get-Content -Raw $stamp).Trim() -eq $fingerprint)) { exit 0 }

Show $python @("-m", "venv", $venv)
$target = if ($Extra) { "$root[$Extra]" } else { $root }
Show $venvPython @("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--editable", $target)
# twistd keeps a list of its plugins; written now, nobody has to write it later.
Show $venvPython @("-c", "from twisted.plugin import IPlugin, getPlugins; list(getPlugins(IPlugin))")
Remove-Item (Join-Path $venv "yallmp-installed*")
foreach ($path in (Join-Path $venv "yallmp-installed"), $stamp) { Set-Content -Path $path -Value $fingerprint }
