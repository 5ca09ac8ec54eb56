using Lamina.Chipset.Diagnostics;

namespace Lamina.Chipset.Tests;

/// <summary>Remembers what the guest asked of the machine.</summary>
internal sealed class RecordingEvents : IPlatformEvents
{
    public int PowerOffs { get; private set; }

    public int Resets { get; private set; }

    public PanicEvents Panics { get; private set; }

    public uint? ExitValue { get; private set; }

    public void PowerOff() => PowerOffs++;

    public void Reset() => Resets++;

    public void Panicked(PanicEvents events) => Panics |= events;

    public void TestExit(uint value) => ExitValue = value;
}
