using Lamina.Machine.Interrupts;

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
}
