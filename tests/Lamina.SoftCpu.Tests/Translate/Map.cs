namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Where things lie in a <see cref="ConformanceMachine"/>.</summary>
internal static class Map
{
    public const int MemorySize = 0x10_0000;
    public const ulong Tables = 0x1000;

    /// <summary>The page table of the first 2 MiB.</summary>
    public const ulong PageTable = 0x4000;

    public const ulong Gdt = 0x8000;
    public const ulong Idt = 0x9000;
    public const ulong Handlers = 0xa000;

    /// <summary>What the fault handlers write.</summary>
    public const ulong Record = 0xc000;

    public const ulong Stack = 0x1_2000;
    public const ulong Data = 0x2_0000;
    public const int DataSize = 0x6000;
    public const ulong Code = 0x4_0000;
    public const int CodeSize = 0x6000;

    /// <summary>The same memory once more, in the upper half.</summary>
    public const ulong High = 0xffff_8000_0000_0000;

    /// <summary>Device registers, behind RAM.</summary>
    public const ulong Device = 0x18_0000;

    public const ushort CodeSelector = 8;
    public const ushort DataSelector = 16;
}
