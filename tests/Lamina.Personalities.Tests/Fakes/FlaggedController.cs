using Lamina.Machine.Interrupts;

namespace Lamina.Personalities.Tests.Fakes;

/// <summary>A local APIC whose interrupts can be ended by a flag.</summary>
internal sealed class FlaggedController : TestController, IFlaggedEndOfInterrupt
{
    public IEndOfInterruptFlag? Flag { get; private set; }

    public void Connect(IEndOfInterruptFlag flag) => Flag = flag;
}
