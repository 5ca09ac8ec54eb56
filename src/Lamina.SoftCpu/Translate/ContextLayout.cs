using System.Runtime.InteropServices;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Translate;

/// <summary>Offsets in <see cref="ProcessorContext"/> that translated code uses.</summary>
internal static unsafe class ContextLayout
{
    public static readonly int Registers;
    public static readonly int Rip;
    public static readonly int Attention;
    public static readonly int InterruptHeld;
    public static readonly int WatchesData;
    public static readonly int Cr0;
    public static readonly int Cr2;
    public static readonly int Cr3;
    public static readonly int Cr4;
    public static readonly int SystemCalls;
    public static readonly int KernelGsBase;
    public static readonly int TscLead;
    public static readonly int CountsHostTime;
    public static readonly int TscAux;
    public static readonly int Star;
    public static readonly int Lstar;
    public static readonly int Fmask;
    public static readonly int TlbArrays;
    public static readonly int UserTlb;
    public static readonly int JumpArrays;
    public static readonly int UserJumps;
    public static readonly int Segments;
    public static readonly int VectorsOff;
    public static readonly int X87Off;
    public static readonly int Vectors;
    public static readonly int Mxcsr;
    public static readonly int HostMxcsr;
    public static readonly int SavedFlags;
    public static readonly int SegmentBase;
    public static readonly int SystemFlags;
    public static readonly int Cpl;
    public static readonly int Tlb;
    public static readonly int Jumps;
    public static readonly int Mappings;
    public static readonly int Places;
    public static readonly int GuardPatience;
    public static readonly int Slots;
    public static readonly int Windows;
    public static readonly int BranchTarget;
    public static readonly int HostStack;
    public static readonly int ReturnStack;
    public static readonly int ReturnLimit;
    public static readonly int ExitData;
    public static readonly int Heat;

    static ContextLayout()
    {
        // SAFETY: only addresses are formed, in memory that is there until they have been.
        ProcessorContext* c = (ProcessorContext*)NativeMemory.Alloc((nuint)sizeof(ProcessorContext));
        Registers = (int)((byte*)c->Registers - (byte*)c);
        Rip = (int)((byte*)&c->Rip - (byte*)c);
        Attention = (int)((byte*)&c->Attention - (byte*)c);
        WatchesData = (int)((byte*)&c->WatchesData - (byte*)c);
        Cr0 = (int)((byte*)&c->Cr0 - (byte*)c);
        Cr2 = (int)((byte*)&c->Cr2 - (byte*)c);
        Cr3 = (int)((byte*)&c->Cr3 - (byte*)c);
        Cr4 = (int)((byte*)&c->Cr4 - (byte*)c);
        InterruptHeld = (int)((byte*)&c->InterruptHeld - (byte*)c);
        SystemCalls = (int)((byte*)&c->SystemCallsEnabled - (byte*)c);
        KernelGsBase = (int)((byte*)&c->KernelGsBase - (byte*)c);
        TscLead = (int)((byte*)&c->TscLead - (byte*)c);
        CountsHostTime = (int)((byte*)&c->CountsHostTime - (byte*)c);
        TscAux = (int)((byte*)&c->TscAux - (byte*)c);
        Star = (int)((byte*)&c->Star - (byte*)c);
        Lstar = (int)((byte*)&c->Lstar - (byte*)c);
        Fmask = (int)((byte*)&c->Fmask - (byte*)c);
        TlbArrays = (int)((byte*)&c->TlbArrays - (byte*)c);
        UserTlb = (int)((byte*)&c->UserTlb - (byte*)c);
        UserJumps = (int)((byte*)&c->UserJumps - (byte*)c);
        JumpArrays = (int)((byte*)&c->JumpArrays - (byte*)c);
        Segments = (int)((byte*)&c->Segments - (byte*)c);
        X87Off = (int)((byte*)&c->X87Off - (byte*)c);
        VectorsOff = (int)((byte*)&c->VectorsOff - (byte*)c);
        Vectors = (int)(c->Vectors - (byte*)c);
        Mxcsr = (int)((byte*)&c->Mxcsr - (byte*)c);
        HostMxcsr = (int)((byte*)&c->HostMxcsr - (byte*)c);
        SavedFlags = (int)((byte*)&c->SavedFlags - (byte*)c);
        SegmentBase = (int)((byte*)c->SegmentBase - (byte*)c);
        SystemFlags = (int)((byte*)&c->SystemFlags - (byte*)c);
        Cpl = (int)((byte*)&c->Cpl - (byte*)c);
        Tlb = (int)((byte*)&c->Tlb - (byte*)c);
        Jumps = (int)((byte*)&c->Jumps - (byte*)c);
        Mappings = (int)((byte*)c->Mappings - (byte*)c);
        Places = (int)((byte*)c->Places - (byte*)c);
        GuardPatience = (int)((byte*)&c->GuardPatience - (byte*)c);
        Slots = (int)((byte*)c->Slots - (byte*)c);
        Windows = (int)((byte*)c->Windows - (byte*)c);
        BranchTarget = (int)((byte*)&c->BranchTarget - (byte*)c);
        HostStack = (int)((byte*)&c->HostStack - (byte*)c);
        ReturnStack = (int)((byte*)&c->ReturnStack - (byte*)c);
        ReturnLimit = (int)((byte*)&c->ReturnLimit - (byte*)c);
        ExitData = (int)((byte*)&c->ExitData - (byte*)c);
        Heat = (int)((byte*)c->Heat - (byte*)c);
        NativeMemory.Free(c);
    }

    /// <summary>Shift that turns a linear address into a TLB offset.</summary>
    public const int TlbShift = 8;

    /// <summary>Mask of that offset.</summary>
    public const int TlbMask = (TlbEntry.Count - 1) * 16;

    /// <summary>Offset of the tag of an entry for writes.</summary>
    public const int WriteTag = TlbEntry.Count * 16;

    /// <summary>Offset of the second level's entries for reads.</summary>
    public const int SecondLevel = TlbEntry.Second * 16;

    /// <summary>Offset of those for writes.</summary>
    public const int SecondWrites = SecondLevel + (TlbEntry.SecondSets * TlbEntry.Ways * 16);

    /// <summary>Mask of the offset of a set in the second level.</summary>
    public const int SecondMask = (TlbEntry.SecondSets - 1) * TlbEntry.Ways * 16;

    /// <summary>Shift of <see cref="TlbEntry.SecondSet"/> that turns mixed address bits into that offset.</summary>
    public const int SecondShift = 7;

    /// <summary>Shift that mixes them.</summary>
    public const int SecondMix = 9;

    /// <summary>Offset of the addend behind a tag.</summary>
    public const int Addend = 8;

    /// <summary>Offset of the code in a <see cref="Blocks.JumpEntry"/>.</summary>
    public const int JumpCode = 8;

    /// <summary>Index in <see cref="ProcessorContext.Mappings"/> of a linear address.</summary>
    public static int MappingSlot(ulong linear)
    {
        return (long)linear < 0
            ? ProcessorContext.MappingsBelow + (int)((linear >> 12) & (ProcessorContext.MappingsAbove - 1))
            : (int)((linear >> 12) & (ProcessorContext.MappingsBelow - 1));
    }

    /// <summary>Of the place of a physical page, by its number.</summary>
    public static int Place(uint number) => Places + (8 * PlaceSlot(number));

    /// <summary>Index in <see cref="ProcessorContext.Places"/> of a physical page, by its number.</summary>
    public static int PlaceSlot(uint number) => (int)(number & (ProcessorContext.PlaceCount - 1));

    /// <summary>What stands there beside the linear page.</summary>
    public static int PlaceCheck(uint number) => (int)(number / ProcessorContext.PlaceCount);

    /// <summary>Offsets in a <see cref="SegmentCache"/>, whose base comes first.</summary>
    public const int Limit = 8;

    /// <summary>Of the attributes.</summary>
    public const int Attributes = 12;

    /// <summary>Of the selector.</summary>
    public const int Selector = 16;

    /// <summary>Of a segment register.</summary>
    public static int Segment(int register) => Segments + (register * sizeof(SegmentCache));

    /// <summary>Of a slot.</summary>
    public static int Slot(int slot) => Slots + (slot * sizeof(TlbEntry));

    /// <summary>Of a window.</summary>
    public static int Window(int window) => Windows + (8 * window);

    /// <summary>Of the heat of a translation.</summary>
    public static int HeatOf(Translation* t) => Heat + (4 * HeatIndex(t));

    /// <summary>Index in <see cref="ProcessorContext.Heat"/> of a translation.</summary>
    public static int HeatIndex(Translation* t) => HeatIndex(t->IsShared ? t->Block->Physical : t->Rip);

    private static int HeatIndex(ulong address) => (int)((address ^ (address >> 13)) & (ProcessorContext.HeatCount - 1));

    /// <summary>Of a general register.</summary>
    public static int Register(int guest) => Registers + (8 * guest);
}
