using Lamina.Machine.Interrupts;

namespace Lamina.Personalities.Tests.Fakes;

/// <summary>A local APIC whose interrupts can be ended by a flag.</summary>
internal sealed class FlaggedController : TestController, IFlaggedEndOfInterrupt
{
    public IEndOfInterruptFlag? Flag { get; private set; }

    /// <summary>Whether the flag was up when it was last to be taken down, if it was.</summary>
    public bool? Settled { get; set; }

    public void Connect(IEndOfInterruptFlag flag) => Flag = flag;

    public void Settle() => Settled = Flag?.Lower();
}
