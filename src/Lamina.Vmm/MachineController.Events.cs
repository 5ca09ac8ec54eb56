using Lamina.Chipset;
using Lamina.Chipset.Diagnostics;
using Lamina.SoftCpu;

namespace Lamina.Vmm;

/// <summary>What devices and processors tell: that the guest wants to end or to begin again, and that a processor cannot go on.</summary>
internal sealed partial class MachineController
{
    /// <inheritdoc/>
    public void PowerOff() => RequestEnd(new MachineResult(MachineOutcome.PoweredOff));

    /// <inheritdoc/>
    public void SleepChanged()
    {
        lock (_gate)
        {
            RequestHold();
        }

        _control.Schedule();
    }

    /// <inheritdoc/>
    void IPlatformEvents.Reset()
    {
        if (_settings.OnReboot == RebootAction.Exit || _bootLoader == null)
        {
            RequestEnd(new MachineResult(MachineOutcome.Rebooted));
        }
        else
        {
            RequestReset();
        }
    }

    /// <inheritdoc/>
    public void Panicked(PanicEvents events)
    {
        // A guest that runs its own crash kernel is still at work.
        if ((events & PanicEvents.Panicked) != 0)
        {
            RequestEnd(new MachineResult(MachineOutcome.Crashed, Message: "the guest reported a panic"));
        }
    }

    /// <inheritdoc/>
    public void TestExit(uint value) => RequestEnd(new MachineResult(MachineOutcome.TestExit, unchecked((int)(_settings.HasTestDevices ? (value << 1) | 1 : value))));

    /// <inheritdoc/>
    public void ProcessorBegan() => _settings.ThreadStarted?.Invoke(MachineThread.Processor);

    /// <inheritdoc/>
    public void ProcessorShutDown(int index)
    {
        if (_settings.RestartOnTripleFault)
        {
            ((IPlatformEvents)this).Reset();
        }
        else
        {
            RequestEnd(new MachineResult(MachineOutcome.Crashed, Message: $"triple fault on processor {index}"));
        }
    }

    /// <inheritdoc/>
    public void ProcessorFailed(int index, string reason, string? details)
    {
        RequestEnd(new MachineResult(MachineOutcome.Failed, Message: $"processor {index} cannot go on: {reason}", Details: details));
    }

    /// <inheritdoc/>
    public void ProcessorUnsuited(int index, string reason)
    {
        lock (_gate)
        {
            if (_move != null || _fallbackRefused)
            {
                return;
            }

            _move = new Move(new TranslatorAccelerator(), reason);
            RequestHold();
        }

        _control.Schedule();
    }
}
