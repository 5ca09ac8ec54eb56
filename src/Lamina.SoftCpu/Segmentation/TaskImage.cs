using System.Runtime.CompilerServices;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>The registers of a task as its task-state segment holds them (Intel SDM volume 3, figures 7-2 and 7-10).</summary>
internal unsafe struct TaskImage
{
    /// <summary>Smallest limit of a 32-bit task-state segment.</summary>
    public const uint Limit32 = 0x67;

    /// <summary>Smallest limit of a 16-bit one.</summary>
    public const uint Limit16 = 0x2b;

    /// <summary>First byte of the part that a task switch writes, 32-bit form: EIP to GS.</summary>
    public const uint Dynamic32 = 0x20;

    /// <summary>Its size.</summary>
    public const int DynamicSize32 = 0x40;

    /// <summary>First byte of the part that a task switch writes, 16-bit form: IP to DS.</summary>
    public const uint Dynamic16 = 0x0e;

    /// <summary>Its size.</summary>
    public const int DynamicSize16 = 0x1c;

    public uint Cr3;
    public uint Eip;
    public uint Eflags;

    /// <summary>EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI: in the order of <see cref="ProcessorContext.Registers"/>.</summary>
    public fixed uint Registers[8];

    /// <summary>ES, CS, SS, DS, FS, GS.</summary>
    public fixed ushort Selectors[6];

    public ushort LocalTable;
    public bool DebugTrap;

    /// <summary>Takes a 32-bit task-state segment apart.</summary>
    public static TaskImage Read32(byte* tss)
    {
        TaskImage image = default;
        image.Cr3 = Unsafe.ReadUnaligned<uint>(tss + 0x1c);
        image.Eip = Unsafe.ReadUnaligned<uint>(tss + 0x20);
        image.Eflags = Unsafe.ReadUnaligned<uint>(tss + 0x24);
        for (int n = 0; n < 8; n++)
        {
            image.Registers[n] = Unsafe.ReadUnaligned<uint>(tss + 0x28 + (4 * n));
        }

        for (int n = 0; n < 6; n++)
        {
            image.Selectors[n] = Unsafe.ReadUnaligned<ushort>(tss + 0x48 + (4 * n));
        }

        image.LocalTable = Unsafe.ReadUnaligned<ushort>(tss + 0x60);
        image.DebugTrap = (tss[0x64] & 1) != 0;
        return image;
    }

    /// <summary>Takes a 16-bit task-state segment apart. The upper halves of the registers become ones, FS and GS null.</summary>
    public static TaskImage Read16(byte* tss)
    {
        TaskImage image = default;
        image.Eip = Unsafe.ReadUnaligned<ushort>(tss + 0x0e);
        image.Eflags = Unsafe.ReadUnaligned<ushort>(tss + 0x10);
        for (int n = 0; n < 8; n++)
        {
            image.Registers[n] = 0xffff_0000 | Unsafe.ReadUnaligned<ushort>(tss + 0x12 + (2 * n));
        }

        for (int n = 0; n < 4; n++)
        {
            image.Selectors[n] = Unsafe.ReadUnaligned<ushort>(tss + 0x22 + (2 * n));
        }

        image.LocalTable = Unsafe.ReadUnaligned<ushort>(tss + 0x2a);
        return image;
    }

    /// <summary>Writes the dynamic part of a 32-bit task-state segment over what it held: the upper halves of selectors stay.</summary>
    public readonly void Write32(byte* dynamic)
    {
        Unsafe.WriteUnaligned(dynamic, Eip);
        Unsafe.WriteUnaligned(dynamic + 4, Eflags);
        for (int n = 0; n < 8; n++)
        {
            Unsafe.WriteUnaligned(dynamic + 8 + (4 * n), Registers[n]);
        }

        for (int n = 0; n < 6; n++)
        {
            Unsafe.WriteUnaligned(dynamic + 0x28 + (4 * n), Selectors[n]);
        }
    }

    /// <summary>Writes the dynamic part of a 16-bit task-state segment.</summary>
    public readonly void Write16(byte* dynamic)
    {
        Unsafe.WriteUnaligned(dynamic, (ushort)Eip);
        Unsafe.WriteUnaligned(dynamic + 2, (ushort)Eflags);
        for (int n = 0; n < 8; n++)
        {
            Unsafe.WriteUnaligned(dynamic + 4 + (2 * n), (ushort)Registers[n]);
        }

        for (int n = 0; n < 4; n++)
        {
            Unsafe.WriteUnaligned(dynamic + 0x14 + (2 * n), Selectors[n]);
        }
    }
}
