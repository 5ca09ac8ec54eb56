using Lamina.Machine.Interrupts;
using Lamina.Machine.Processors;

namespace Lamina.Personalities.Tests.Fakes;

/// <summary>Counts kicks.</summary>
internal sealed class RecordingSignals : IProcessorSignals
{
    public int Kicks { get; private set; }

    public void SignalInterrupt()
    {
    }

    public void SignalNonMaskable()
    {
    }

    public void SignalSystemManagement()
    {
    }

    public void SignalKick() => Kicks++;

    public void SignalInit()
    {
    }

    public void SignalStartUp(byte vector)
    {
    }

    public bool IsUp => !WaitsForStartUp && !StandsStill;

    public bool WaitsForStartUp { get; set; }

    public bool StandsStill { get; private set; }

    /// <summary>What it has begun as; null before.</summary>
    public ProcessorState? Begun { get; private set; }

    public void SignalBegin(IProcessorEntry entry)
    {
        WaitsForStartUp = false;
        Begun = new ProcessorState();
        entry.Apply(Begun);
    }

    public void SignalStandStill() => StandsStill = true;

    public void SignalGoOn() => StandsStill = false;
}
