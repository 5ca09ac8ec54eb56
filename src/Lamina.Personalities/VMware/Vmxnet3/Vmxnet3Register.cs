namespace Lamina.Personalities.VMware.Vmxnet3;

/// <summary>Offsets of the registers (Linux, drivers/net/vmxnet3/vmxnet3_defs.h), each of 32 bits.</summary>
internal static class Vmxnet3Register
{
    // Base address register 0.
    internal const ulong InterruptMask = 0x0;
    internal const ulong TxProducer = 0x600;
    internal const ulong RxProducer = 0x800;
    internal const ulong RxProducer2 = 0xa00;
    internal const ulong ProducersEnd = 0xc00;

    // Base address register 1.
    internal const ulong Revisions = 0x0;
    internal const ulong UptVersions = 0x8;
    internal const ulong SharedLow = 0x10;
    internal const ulong SharedHigh = 0x18;
    internal const ulong Command = 0x20;
    internal const ulong AddressLow = 0x28;
    internal const ulong AddressHigh = 0x30;
    internal const ulong InterruptCause = 0x38;
    internal const ulong EventCause = 0x40;
}
