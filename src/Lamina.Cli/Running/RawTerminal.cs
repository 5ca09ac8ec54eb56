using System.Runtime.InteropServices;
using Lamina.Cli.Output;
using Lamina.Interop;
using Lamina.Interop.Terminals;

namespace Lamina.Cli.Running;

/// <summary>
/// This process's terminal in raw mode, until disposal, process exit or an unhandled exception, whichever comes first. A stop and continuation from outside puts it
/// back into raw mode.
/// </summary>
internal sealed class RawTerminal : IDisposable
{
    private readonly Lock _lock = new();
    private readonly PosixSignalRegistration _continued;
    private TerminalMode? _mode;
    private bool _left;

    private RawTerminal(TerminalMode mode)
    {
        _mode = mode;
        AppDomain.CurrentDomain.ProcessExit += OnProcessExit;
        AppDomain.CurrentDomain.UnhandledException += OnUnhandledException;
        _continued = PosixSignalRegistration.Create(PosixSignal.SIGCONT, _ => EnterAgain());
        Messages.TerminalIsRaw = true;
    }

    /// <summary>Enters raw mode.</summary>
    /// <returns>The mode to leave, or null if standard input is no terminal.</returns>
    public static RawTerminal? TryEnter()
    {
        try
        {
            return TerminalMode.TryEnterRaw(Descriptor.StandardInput) is { } mode ? new RawTerminal(mode) : null;
        }
        catch (SystemCallException e)
        {
            throw new LaminaException($"the terminal cannot be set to raw mode: {e.Reason}. Use --serial null or file=PATH to leave it alone.", e);
        }
    }

    /// <summary>Leaves raw mode. Any number of times.</summary>
    public void Dispose()
    {
        Leave();
        _continued.Dispose();
        AppDomain.CurrentDomain.ProcessExit -= OnProcessExit;
        AppDomain.CurrentDomain.UnhandledException -= OnUnhandledException;
    }

    private void OnProcessExit(object? sender, EventArgs e) => Leave();

    private void OnUnhandledException(object sender, UnhandledExceptionEventArgs e) => Leave();

    private void Leave()
    {
        lock (_lock)
        {
            _left = true;
            _mode?.Restore();
            _mode = null;
            Messages.TerminalIsRaw = false;
        }
    }

    private void EnterAgain()
    {
        lock (_lock)
        {
            if (!_left)
            {
                _mode?.Restore();
                _mode = TerminalMode.TryEnterRaw(Descriptor.StandardInput);
            }
        }
    }
}
