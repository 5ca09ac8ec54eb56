using System.Runtime.InteropServices;

namespace Lamina.Cli.Running;

/// <summary>Turns the signals that end a program into a request to end in order. A second one ends at once.</summary>
internal sealed class SignalGuard : IDisposable
{
    private static readonly (PosixSignal Signal, int Number)[] Signals =
        [(PosixSignal.SIGHUP, 1), (PosixSignal.SIGINT, 2), (PosixSignal.SIGQUIT, 3), (PosixSignal.SIGTERM, 15)];

    private readonly CancellationTokenSource _source = new();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private int _number;

    public SignalGuard()
    {
        foreach ((PosixSignal signal, int number) in Signals)
        {
            _registrations.Add(PosixSignalRegistration.Create(signal, context => OnSignal(context, number)));
        }
    }

    /// <summary>Is cancelled by the first signal.</summary>
    public CancellationToken Token => _source.Token;

    /// <summary>The exit status for the signal that came, or null.</summary>
    public int? Status => Volatile.Read(ref _number) is var number and not 0 ? ExitStatus.SignalBase + number : null;

    /// <inheritdoc/>
    public void Dispose()
    {
        _registrations.ForEach(r => r.Dispose());
        _source.Dispose();
    }

    private void OnSignal(PosixSignalContext context, int number)
    {
        context.Cancel = true;
        if (Interlocked.CompareExchange(ref _number, number, 0) == 0)
        {
            _source.Cancel();
        }
        else
        {
            // Runs the process-exit handlers, which restore the terminal.
            Environment.Exit(ExitStatus.SignalBase + number);
        }
    }
}
