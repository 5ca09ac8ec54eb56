namespace Lamina.Conformance.Processors;

/// <summary>Where things lie in a <see cref="ProcessorMachine"/>.</summary>
internal static class Layout
{
    public const int MemorySize = 4 << 20;
    public const ulong Tables = 0x1000;
    public const ulong Gdt = 0x6000;
    public const ulong Idt = 0x7000;
    public const ulong TaskState = 0x8000;
    public const ulong Handlers = 0x9000;
    public const ulong HandlersEnd = 0xa000;
    public const ulong KernelStack = 0x2_0000;
    public const ulong Code = 0x10_0000;
    public const ulong Data = 0x18_0000;
    public const ulong UserStack = 0x30_0000;

    /// <summary>Linear addresses from here on are mapped to nothing, up to 8 MiB.</summary>
    public const ulong Absent = 0x60_0000;

    /// <summary>Registers of a <see cref="RecordingDevice"/>.</summary>
    public const ulong Device = 0x8000_0000;

    /// <summary>Its ports.</summary>
    public const ushort Ports = 0x500;

    public const ushort KernelCode = 0x08;
    public const ushort KernelData = 0x10;
    public const ushort Code32 = 0x18;

    /// <summary>The selectors that Linux has for these. A KVM without hardware lets a program see its host's.</summary>
    public const ushort UserData = 0x2b;
    public const ushort UserCode = 0x33;
    public const ushort Task = 0x40;
}
