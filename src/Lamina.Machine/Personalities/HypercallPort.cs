namespace Lamina.Machine.Personalities;

/// <summary>
/// The I/O port by which hypercall pages call. A write of a byte leaves the guest under every accelerator, which VMCALL and VMMCALL do not: a kernel's KVM answers these itself. By its number the instruction
/// leaves every register as it is. Of a page that was made before, the code is as long, so that a processor that is inside it goes on.
/// </summary>
public static class HypercallPort
{
    /// <summary>The port. Nothing else is there, on a PC or in Lamina.</summary>
    public const byte Number = 0xea;

    /// <summary>OUT EAh, AL; NOP.</summary>
    public static ReadOnlySpan<byte> Instruction => [0xe6, Number, 0x90];
}
