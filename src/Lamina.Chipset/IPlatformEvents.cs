using Lamina.Chipset.Diagnostics;

namespace Lamina.Chipset;

/// <summary>What the guest asks of the machine as a whole. Called on a vCPU thread, sometimes with the device's lock held: note it, and hand over to the control thread.</summary>
public interface IPlatformEvents
{
    /// <summary>ACPI S5: switch off.</summary>
    void PowerOff();

    /// <summary>ACPI S3: the guest sleeps from now on, or what ends its sleep has come. Any thread.</summary>
    void SleepChanged();

    /// <summary>Platform reset: keyboard controller, port 0x92, register 0xcf9, or ACPI's own reset register.</summary>
    void Reset();

    /// <summary>The guest reports a crash.</summary>
    void Panicked(PanicEvents events);

    /// <summary>The exit device of the test machine was written.</summary>
    void TestExit(uint value);
}
