namespace Lamina.SoftCpu.Translate;

/// <summary>
/// REP MOVS and REP STOS upwards: whole runs to the end of a page by the host's own instruction, as long as the TLB knows the pages. Anything else
/// is left to the interpreter by the site exit, with the registers saying how far it has got. The scratch registers and flags are lost.
/// </summary>
internal readonly unsafe struct StringRoutines
{
    private const int PageSize = 4096;
    private const int Direction = (int)Execute.Flags.Direction;
    private readonly nint[] _routines;

    /// <param name="asm">Where the routines go.</param>
    /// <param name="misses">Where they look behind the first level.</param>
    /// <param name="siteExit">Where they go for what they do not do.</param>
    public StringRoutines(ref HostAssembler asm, MissRoutines misses, byte* siteExit)
    {
        _routines = new nint[8];
        for (int shift = 0; shift < 4; shift++)
        {
            _routines[shift] = (nint)Emit(ref asm, false, shift, misses, siteExit);
            _routines[4 + shift] = (nint)Emit(ref asm, true, shift, misses, siteExit);
        }
    }

    /// <summary>The routine for elements of 2^<paramref name="shift"/> bytes.</summary>
    public byte* Of(bool move, int shift) => (byte*)_routines[(move ? 4 : 0) + shift];

    /// <summary>Whether this is one of them.</summary>
    public bool Contains(byte* routine) => Array.IndexOf(_routines, (nint)routine) >= 0;

    private static byte* Emit(ref HostAssembler asm, bool move, int shift, MissRoutines misses, byte* siteExit)
    {
        asm.Align(16);
        byte* start = asm.Here;
        asm.ContextForm(0xf7, 0, ContextLayout.SystemFlags, false); // TEST DWORD
        asm.Dword(Direction);
        int backwards = asm.JumpIf(5);

        int loop = asm.Length;
        asm.RegisterForm(0x85, Host.Rcx, Host.Rcx, true); // TEST
        int done = asm.JumpIf(4);
        asm.ContextForm(0x83, 7, ContextLayout.Attention, false); // CMP DWORD
        asm.Byte(0);
        int attention = asm.JumpIf(5);
        int missedTarget = EmitFind(ref asm, Host.Rdi, Host.Value, ContextLayout.WriteTag);
        asm.MemoryForm(0x8b, Host.Address, Host.Temporary, ContextLayout.WriteTag + ContextLayout.Addend, true);
        asm.RegisterForm(0x03, Host.Address, Host.Rdi, true);
        EmitLeft(ref asm, Host.Value, Host.Rdi);
        int missedSource = -1;
        if (move)
        {
            asm.Push(Host.Address);
            missedSource = EmitFind(ref asm, Host.Rsi, Host.Address, 0);
            EmitLeft(ref asm, Host.Address, Host.Rsi);
            asm.RegisterForm(0x3b, Host.Address, Host.Value, true); // CMP
            asm.RegisterForm(0x0f42, Host.Value, Host.Address, true); // CMOVB
            asm.MemoryForm(0x8b, Host.Address, Host.Temporary, ContextLayout.Addend, true);
            asm.RegisterForm(0x03, Host.Address, Host.Rsi, true);
        }

        int crossing = -1;
        if (shift > 0)
        {
            asm.RegisterForm(0xc1, 5, Host.Value, true); // SHR
            asm.Byte(shift);
            crossing = asm.JumpIf(4);
        }

        asm.RegisterForm(0x3b, Host.Rcx, Host.Value, true);
        asm.RegisterForm(0x0f42, Host.Value, Host.Rcx, true);
        asm.Move(Host.Temporary, Host.Rcx);
        asm.RegisterForm(0x2b, Host.Temporary, Host.Value, true); // SUB
        asm.Move(Host.Rcx, Host.Value);
        if (move)
        {
            asm.Byte(0x48); // XCHG RDI, [RSP]
            asm.Byte(0x87);
            asm.Byte(0x3c);
            asm.Byte(0x24);
            asm.Push(Host.Rsi);
            asm.Move(Host.Rsi, Host.Address);
        }
        else
        {
            asm.Push(Host.Rdi);
            asm.Move(Host.Rdi, Host.Address);
        }

        // REP MOVS, REP STOS
        if (shift == 1)
        {
            asm.Byte(0x66);
        }

        asm.Byte(0xf3);
        if (shift == 3)
        {
            asm.Byte(0x48);
        }

        asm.Byte((move ? 0xa4 : 0xaa) | (shift > 0 ? 1 : 0));
        if (move)
        {
            asm.Pop(Host.Rsi);
            asm.Lea(Host.Rsi, Host.Rsi, Host.Value, shift, 0);
        }

        asm.Pop(Host.Rdi);
        asm.Lea(Host.Rdi, Host.Rdi, Host.Value, shift, 0);
        asm.Move(Host.Rcx, Host.Temporary);
        asm.Jump(asm.Here - asm.Length + loop);
        asm.Bind(done);
        asm.Byte(0xc3);

        asm.Bind(missedTarget);
        EmitFindBehind(ref asm, Host.Rdi, misses.OfWindow(MissRoutines.NoSlot, write: true));
        int unknownTarget = asm.JumpIf(5);
        asm.Jump(asm.Here - asm.Length + loop);

        int unknownSource = -1;
        if (move)
        {
            asm.Bind(missedSource);
            asm.Pop(Host.Address);
            EmitFindBehind(ref asm, Host.Rsi, misses.OfWindow(MissRoutines.NoSlot, write: false));
            unknownSource = asm.JumpIf(5);
            asm.Jump(asm.Here - asm.Length + loop);
        }

        if (crossing >= 0)
        {
            asm.Bind(crossing);
            if (move)
            {
                asm.Pop(Host.Address);
            }
        }

        asm.Bind(backwards);
        asm.Bind(attention);
        asm.Bind(unknownTarget);
        if (move)
        {
            asm.Bind(unknownSource);
        }

        asm.Jump(siteExit);
        return start;
    }

    // The first level's entry of an address into the temporary register, its page into another. Answers the place of a jump taken if the entry is not that page's.
    private static int EmitFind(ref HostAssembler asm, int address, int page, int tag)
    {
        asm.Move(Host.Temporary, address);
        asm.RegisterForm(0xc1, 5, Host.Temporary, true); // SHR
        asm.Byte(ContextLayout.TlbShift);
        asm.RegisterForm(0x81, 4, Host.Temporary, false); // AND
        asm.Dword(ContextLayout.TlbMask);
        asm.ContextForm(0x03, Host.Temporary, ContextLayout.Tlb, true); // ADD
        asm.Move(page, address);
        asm.RegisterForm(0x81, 4, page, true); // AND
        asm.Dword(-PageSize);
        asm.MemoryForm(0x3b, page, Host.Temporary, tag, true); // CMP
        return asm.JumpIf(5);
    }

    // Has the entry that was looked at, in the temporary register, hold the page of an address if another level knows it; the zero flag says so.
    private static void EmitFindBehind(ref HostAssembler asm, int address, byte* routine)
    {
        asm.Move(Host.Address, address);
        asm.Move(Host.Value, address);
        asm.RegisterForm(0x81, 4, Host.Value, true); // AND
        asm.Dword(-PageSize);
        asm.Call(routine);
    }

    // From the page in a register to the bytes from an address to its end.
    private static void EmitLeft(ref HostAssembler asm, int page, int address)
    {
        asm.RegisterForm(0x2b, page, address, true); // SUB
        asm.RegisterForm(0x81, 0, page, true); // ADD
        asm.Dword(PageSize);
    }
}
