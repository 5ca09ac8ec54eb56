namespace Lamina.SoftCpu.Execute;

/// <summary>Debug registers (Intel SDM volume 3, chapter 18): breakpoints on instructions, data and ports, and single step.</summary>
internal static unsafe class DebugUnit
{
    /// <summary>DR6.B0 to B3.</summary>
    public const ulong AddressBits = 0xf;

    /// <summary>DR6.BS.</summary>
    public const uint SingleStep = 0x4000;

    /// <summary>DR6.BD.</summary>
    public const uint DebugRegisterAccess = 0x2000;

    /// <summary>Bits of DR6 that read as one.</summary>
    public const ulong Dr6Fixed = 0xffff_0ff0;

    private const uint TypeExecute = 0;
    private const uint TypeWrite = 1;
    private const uint TypePort = 2;
    private const ulong Cr4DebugExtensions = 8;

    /// <summary>Recomputes what watching costs after DR7 or CR4.DE changed.</summary>
    public static void Update(ProcessorContext* c)
    {
        c->WatchesData = false;
        bool instructions = false;
        for (int n = 0; n < 4; n++)
        {
            if (IsEnabled(c, n))
            {
                bool execute = Type(c, n) == TypeExecute;
                instructions |= execute;
                c->WatchesData |= !execute;
            }
        }

        c->WatchesInstructions = instructions;
        if (instructions || c->WatchesData)
        {
            Interlocked.Or(ref c->Attention, (int)AttentionBits.Step);
        }

        ProcessorMode.Update(c);
    }

    /// <summary>DR6 bits of the instruction breakpoints at a linear address.</summary>
    public static uint MatchInstruction(ProcessorContext* c, ulong linear)
    {
        uint hits = 0;
        for (int n = 0; n < 4; n++)
        {
            if (IsEnabled(c, n) && Type(c, n) == TypeExecute && c->DebugAddress[n] == linear)
            {
                hits |= 1u << n;
            }
        }

        return hits;
    }

    /// <summary>Notes data breakpoints that an access hits; the trap comes after the instruction.</summary>
    public static void DataAccess(ProcessorContext* c, ulong linear, int size, bool write)
    {
        for (int n = 0; n < 4; n++)
        {
            uint type = Type(c, n);
            if (IsEnabled(c, n) && type is not (TypeExecute or TypePort) && (write || type != TypeWrite))
            {
                Match(c, n, linear, size);
            }
        }
    }

    /// <summary>Notes port breakpoints.</summary>
    public static void PortAccess(ProcessorContext* c, ushort port, int size)
    {
        if (!c->WatchesData || (c->Cr4 & Cr4DebugExtensions) == 0)
        {
            return;
        }

        for (int n = 0; n < 4; n++)
        {
            if (IsEnabled(c, n) && Type(c, n) == TypePort)
            {
                Match(c, n, port, size);
            }
        }
    }

    private static void Match(ProcessorContext* c, int n, ulong address, int size)
    {
        ulong length = (c->Dr7 >> (18 + (4 * n)) & 3) switch { 0 => 1UL, 1 => 2, 2 => 8, _ => 4 };
        ulong start = c->DebugAddress[n] & ~(length - 1);
        if (address < start + length && start < address + (ulong)size)
        {
            c->PendingDebugTraps |= 1u << n;
            Interlocked.Or(ref c->Attention, (int)AttentionBits.Step);
        }
    }

    private static bool IsEnabled(ProcessorContext* c, int n) => ((c->Dr7 >> (2 * n)) & 3) != 0;

    private static uint Type(ProcessorContext* c, int n) => (uint)(c->Dr7 >> (16 + (4 * n))) & 3;
}
