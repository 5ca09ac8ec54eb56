using Lamina.Chipset.Diagnostics;
using Lamina.Chipset.Pci;

namespace Lamina.Chipset.Tests;

/// <summary>Remembers what the guest asked of the machine.</summary>
internal sealed class RecordingEvents : IPlatformEvents, IHotPlugEvents
{
    public List<int> Ejections { get; } = [];

    public int PowerOffs { get; private set; }

    public int SleepChanges { get; private set; }

    public int Resets { get; private set; }

    public PanicEvents Panics { get; private set; }

    public uint? ExitValue { get; private set; }

    public void Ejected(int slot) => Ejections.Add(slot);

    public void PowerOff() => PowerOffs++;

    public void SleepChanged() => SleepChanges++;

    public void Reset() => Resets++;

    public void Panicked(PanicEvents events) => Panics |= events;

    public void TestExit(uint value) => ExitValue = value;
}
