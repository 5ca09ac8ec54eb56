namespace Lamina.SoftCpu.Segmentation;

/// <summary>Types of system descriptors (Intel SDM volume 3, table 3-2). Bit 3 tells 32-bit (or 64-bit) forms from 16-bit ones.</summary>
internal static class DescriptorType
{
    public const uint TaskState16 = 1;
    public const uint LocalTable = 2;
    public const uint TaskState16Busy = 3;
    public const uint CallGate16 = 4;
    public const uint TaskGate = 5;
    public const uint InterruptGate16 = 6;
    public const uint TrapGate16 = 7;
    public const uint TaskState = 9;
    public const uint TaskStateBusy = 11;
    public const uint CallGate = 12;
    public const uint InterruptGate = 14;
    public const uint TrapGate = 15;

    /// <summary>The busy bit of a task-state segment's type.</summary>
    public const uint Busy = 2;
}
