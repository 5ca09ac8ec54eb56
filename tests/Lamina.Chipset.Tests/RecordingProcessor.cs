using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Tests;

/// <summary>Counts what is done to a processor.</summary>
internal sealed class RecordingProcessor : IProcessorSignals
{
    public int Interrupts { get; private set; }

    public int NonMaskable { get; private set; }

    public int SystemManagement { get; private set; }

    public int Inits { get; private set; }

    public List<byte> StartUps { get; } = [];

    public void SignalInterrupt() => Interrupts++;

    public void SignalNonMaskable() => NonMaskable++;

    public void SignalSystemManagement() => SystemManagement++;

    public void SignalKick()
    {
    }

    public void SignalInit() => Inits++;

    public void SignalStartUp(byte vector) => StartUps.Add(vector);

    public bool IsUp => true;

    public bool WaitsForStartUp => false;

    public void SignalBegin(Machine.Processors.IProcessorEntry entry)
    {
    }

    public void SignalStandStill()
    {
    }

    public void SignalGoOn()
    {
    }
}
