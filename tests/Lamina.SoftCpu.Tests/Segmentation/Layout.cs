namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>Where <see cref="SegmentedMachine"/> keeps what, and the selectors in its GDT.</summary>
internal static class Layout
{
    public const uint Gdt = 0x1000;
    public const uint Idt = 0x2000;
    public const uint Ldt = 0x3000;
    public const uint Task = 0x4000;
    public const uint OtherTask = 0x5000;
    public const uint Task16 = 0x6000;
    public const uint Code = 0x1_0000;
    public const uint Handler = 0x1_8000;
    public const uint UserStack = 0x2_0000;
    public const uint KernelStack = 0x3_0000;
    public const uint Ring1Stack = 0x3_8000;
    public const uint InterruptStack = 0x4_0000;
    public const uint Data = 0x5_0000;
    public const uint PageTables = 0x10_0000;

    public const ushort KernelCode = 0x08;
    public const ushort KernelData = 0x10;
    public const ushort UserCode = 0x1b;
    public const ushort UserData = 0x23;
    public const ushort TaskSelector = 0x28;
    public const ushort OtherTaskSelector = 0x30;
    public const ushort LongCode = 0x38;
    public const ushort LongUserCode = 0x43;
    public const ushort LocalTable = 0x48;
    public const ushort ConformingCode = 0x50;
    public const ushort Data16 = 0x58;
    public const ushort Code16 = 0x60;
    public const ushort Ring1Code = 0x69;
    public const ushort Ring1Data = 0x71;
    public const ushort ReadOnlyData = 0x78;
    public const ushort AbsentData = 0x80;
    public const ushort AbsentCode = 0x88;
    public const ushort Task16Selector = 0x90;
    public const ushort ExecuteOnlyCode = 0x98;
    public const ushort SmallStack = 0xa0;

    /// <summary>Sixteen bytes, for tests to fill.</summary>
    public const ushort Free = 0xb0;

    /// <summary>The same.</summary>
    public const ushort Free2 = 0xc0;

    /// <summary>A 64-bit task-state segment.</summary>
    public const ushort LongTask = 0xd0;

    public const ushort GdtLimit = 0xff;

    /// <summary>The first selector outside the GDT.</summary>
    public const ushort OutsideGdt = 0x100;
}
