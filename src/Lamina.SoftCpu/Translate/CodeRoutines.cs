using Lamina.Interop.Processors;
using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Fpu;

namespace Lamina.SoftCpu.Translate;

/// <summary>The routines through which translated code is entered and left, and those that it calls.</summary>
internal sealed unsafe class CodeRoutines
{
    private const int InterpretData = 3;
    private const int LinkData = 4;
    private const int GuardedLinkData = 6;
    private const int NanosecondsPerSecond = 1_000_000_000;

    // Room for pairs of calls and returns on the host's stack.
    private const int ReturnSpace = 16 << 10;

    private readonly nint[] _entered = new nint[4];

    /// <param name="asm">Where they go.</param>
    public CodeRoutines(ref HostAssembler asm)
    {
        // Not canonical.
        long noReturn = (Random.Shared.NextInt64() & ~(3L << 62)) | (1L << 62);
        InterpretExit = EmitExit(ref asm, TranslationExit.Interpret);
        LinkExit = EmitExit(ref asm, TranslationExit.Link, saves: true);
        SavedLinkExit = EmitExit(ref asm, TranslationExit.Link);
        GuardedLinkExit = EmitExit(ref asm, TranslationExit.Link);
        SiteExit = EmitExit(ref asm, TranslationExit.Site);
        StartExit = EmitExit(ref asm, TranslationExit.Start);
        NativeStartExit = EmitExit(ref asm, TranslationExit.Start, saves: true);
        HotExit = EmitExit(ref asm, TranslationExit.Hot);
        DispatchExit = EmitExit(ref asm, TranslationExit.Dispatch);
        byte* renumberExit = EmitExit(ref asm, TranslationExit.Renumber);
        for (int units = 0; units < _entered.Length; units++)
        {
            _entered[units] = (nint)EmitEntered(ref asm, (units & 1) != 0, (units & 2) != 0);
        }

        SaveFlags = EmitSaveFlags(ref asm);
        RestoreFlags = EmitRestoreFlags(ref asm);
        ForgetSlots = EmitForgetSlots(ref asm);
        ForgetReturns = EmitForgetReturns(ref asm);
        LookUpJump = EmitLookUpJump(ref asm);
        LookUpGuarded = EmitLookUpGuarded(ref asm, renumberExit);
        Enter = (delegate* unmanaged<ProcessorContext*, byte*, TranslationExit>)EmitEnter(ref asm, noReturn, EmitNoReturn(ref asm));
        FindJump = EmitFindJump(ref asm);
        ReadTimeStamp = EmitReadTimeStamp(ref asm);
        Misses = new MissRoutines(ref asm, SiteExit);
        Checks = new CheckRoutines(ref asm, Misses);
        Strings = new StringRoutines(ref asm, Misses, SiteExit);
        CallData = new Dictionary<nint, int> { [(nint)InterpretExit] = InterpretData, [(nint)LinkExit] = LinkData, [(nint)SavedLinkExit] = LinkData, [(nint)GuardedLinkExit] = GuardedLinkData };
    }

    /// <summary>Runs code with the registers of the context at the GS base, and RIP in the address register.</summary>
    public delegate* unmanaged<ProcessorContext*, byte*, TranslationExit> Enter { get; }

    /// <summary>Called by code that leaves an instruction to the interpreter. Behind the call stand the instruction's index and the distance from there to the translation's beginning, then what comes next.</summary>
    public byte* InterpretExit { get; }

    /// <summary>
    /// Called at an unlinked direct jump inside a page. Behind the call stand 16 bits, the distance from there to the translation's beginning and above it a <see cref="LinkKind"/>, and the
    /// target's distance from the translation's RIP. The call becomes the jump.
    /// </summary>
    public byte* LinkExit { get; }

    /// <summary>The same where the flags are saved.</summary>
    public byte* SavedLinkExit { get; }

    /// <summary>The same for jumps to other pages.</summary>
    public byte* GuardedLinkExit { get; }

    /// <summary>Called, or jumped to by what was called, at a <see cref="TranslationSite"/>.</summary>
    public byte* SiteExit { get; }

    /// <summary>Called at the beginning of a translation that cannot be begun.</summary>
    public byte* StartExit { get; }

    /// <summary>The same with the flags in the host's.</summary>
    public byte* NativeStartExit { get; }

    /// <summary>Jumped to from what was called at the beginning of a translation that has run often.</summary>
    public byte* HotExit { get; }

    /// <summary>Jumped to in order to leave, with RIP in the address register.</summary>
    public byte* DispatchExit { get; }

    /// <summary>Called to save the flags. The address register is lost.</summary>
    public byte* SaveFlags { get; }

    /// <summary>Called to have the saved flags in the host's. The temporary register is lost.</summary>
    public byte* RestoreFlags { get; }

    /// <summary>Called where <see cref="ProcessorContext.Tlb"/> becomes another. Keeps all registers.</summary>
    public byte* ForgetSlots { get; }

    /// <summary>Called where the privilege changes or there is no room for more pairs of calls and returns. The temporary register is lost.</summary>
    public byte* ForgetReturns { get; }

    /// <summary>Jumped to with a target in the address register and the flags saved: goes there, or leaves.</summary>
    public byte* LookUpJump { get; }

    /// <summary>The same for a target whose page was not found by its number.</summary>
    public byte* LookUpGuarded { get; }

    /// <summary>Called with a target in the address register: answers its look-up entry in the temporary register, or leaves by the site exit.</summary>
    public byte* FindJump { get; }

    /// <summary>
    /// Called to have the time-stamp counter in RAX and RDX, where <see cref="ProcessorContext.CountsHostTime"/> says that the host's clock has it and the x87 registers are off. Flags and scratch registers are lost.
    /// </summary>
    public byte* ReadTimeStamp { get; }

    /// <summary>Called where an address was not found at first.</summary>
    public MissRoutines Misses { get; }

    /// <summary>Called to find an address.</summary>
    public CheckRoutines Checks { get; }

    /// <summary>Called for repeated string instructions.</summary>
    public StringRoutines Strings { get; }

    /// <summary>Called at the beginning of compact translations, behind a decrement of their heat.</summary>
    public byte* Entered(bool vectors, bool x87) => (byte*)_entered[(vectors ? 1 : 0) | (x87 ? 2 : 0)];

    /// <summary>Which routines are called with data behind the call, and how many bytes of it.</summary>
    public IReadOnlyDictionary<nint, int> CallData { get; }

    /// <summary>Whether a routine is one of those, or one that only keeps or brings the flags, or forgets slots or returns.</summary>
    public bool IsHarmless(byte* routine) => Array.IndexOf(_entered, (nint)routine) >= 0 || routine == SaveFlags || routine == RestoreFlags || routine == ForgetSlots || routine == ForgetReturns;

    /// <summary>Looks the target in the address register up in the jump cache. Answers the place of a jump taken on a miss.</summary>
    public static int EmitLookUp(ref HostAssembler asm)
    {
        asm.Move(Host.Temporary, Host.Address);
        asm.RegisterForm(0xc1, 5, Host.Temporary, true); // SHR 12
        asm.Byte(12);
        asm.RegisterForm(0x33, Host.Temporary, Host.Address, true); // XOR
        asm.RegisterForm(0x81, 4, Host.Temporary, false); // AND
        asm.Dword(JumpCache.Count - 1);
        asm.RegisterForm(0xc1, 4, Host.Temporary, false); // SHL 4
        asm.Byte(4);
        asm.ContextForm(0x03, Host.Temporary, ContextLayout.Jumps, true); // ADD
        asm.MemoryForm(0x3b, Host.Address, Host.Temporary, 0, true); // CMP linear
        return asm.JumpIf(5);
    }

    /// <summary>Writes what <see cref="SaveFlags"/> does.</summary>
    public static void EmitSave(ref HostAssembler asm)
    {
        asm.Move(Host.Address, Host.Rax);
        EmitSaveThroughRax(ref asm);
        asm.Move(Host.Rax, Host.Address);
    }

    /// <summary>Writes what <see cref="RestoreFlags"/> does.</summary>
    public static void EmitRestore(ref HostAssembler asm)
    {
        asm.Move(Host.Temporary, Host.Rax);
        EmitRestoreThroughRax(ref asm);
        asm.Move(Host.Rax, Host.Temporary);
    }

    private static void EmitSaveThroughRax(ref HostAssembler asm)
    {
        asm.Byte(0x9f); // LAHF
        asm.Opcode(0x0f90); // SETO AL
        asm.Byte(0xc0);
        asm.Byte(0x66); // MOV [SavedFlags], AX
        asm.ContextForm(0x89, Host.Rax, ContextLayout.SavedFlags, false);
    }

    private static void EmitRestoreThroughRax(ref HostAssembler asm)
    {
        asm.ContextForm(0x0fb7, Host.Rax, ContextLayout.SavedFlags, false); // MOVZX EAX, WORD [SavedFlags]
        asm.Byte(0x04); // ADD AL, 7FH: OF if AL is 1
        asm.Byte(0x7f);
        asm.Byte(0x9e); // SAHF
    }

    private static byte* EmitEnter(ref HostAssembler asm, long noReturn, byte* noReturnCode)
    {
        asm.Align(16);
        byte* start = asm.Here;
        foreach (int register in (ReadOnlySpan<int>)[Host.Rbx, Host.Rbp, 12, 13, 14, 15])
        {
            asm.Push(register);
        }

        // SUB RSP, 8
        asm.RegisterForm(0x83, 5, Host.Rsp, true);
        asm.Byte(8);
        asm.Move(Host.Value, Host.Rsi);
        asm.StoreContext(Host.Rsp, ContextLayout.HostStack);
        asm.MoveImmediate(Host.Temporary, noReturn);
        asm.Push(Host.Temporary);
        asm.MoveImmediate(Host.Temporary, (long)noReturnCode);
        asm.Push(Host.Temporary);
        asm.StoreContext(Host.Rsp, ContextLayout.ReturnStack);
        asm.Lea(Host.Temporary, Host.Rsp, -1, 0, -ReturnSpace);
        asm.StoreContext(Host.Temporary, ContextLayout.ReturnLimit);
        EmitX87(ref asm, load: true);
        EmitVectors(ref asm, load: true);
        EmitRestoreThroughRax(ref asm);
        for (int guest = 0; guest < 16; guest++)
        {
            if (Host.Of(guest) >= 0)
            {
                asm.LoadContext(Host.Of(guest), ContextLayout.Register(guest));
            }
        }

        asm.LoadContext(Host.Address, ContextLayout.Rip);
        asm.RegisterForm(0xff, 4, Host.Value, false);
        return start;
    }

    private static byte* EmitForgetSlots(ref HostAssembler asm)
    {
        asm.Align(16);
        byte* start = asm.Here;
        for (int slot = 0; slot < ProcessorContext.SlotCount; slot++)
        {
            asm.ContextForm(0xc7, 0, ContextLayout.Slot(slot), true); // MOV QWORD
            asm.Dword(-1);
        }

        asm.Return();
        return start;
    }

    // Takes its own return address along.
    private static byte* EmitForgetReturns(ref HostAssembler asm)
    {
        asm.Align(16);
        byte* start = asm.Here;
        asm.Pop(Host.Temporary);
        asm.LoadContext(Host.Rsp, ContextLayout.ReturnStack);
        asm.RegisterForm(0xff, 4, Host.Temporary, false);
        return start;
    }

    // Where the pair below all others returns to, should the guest ever guess its address.
    private byte* EmitNoReturn(ref HostAssembler asm)
    {
        asm.Align(16);
        byte* start = asm.Here;
        asm.LoadContext(Host.Rsp, ContextLayout.ReturnStack);
        asm.Jump(LookUpJump);
        return start;
    }

    // The sign flag says whether the heat has run out.
    private byte* EmitEntered(ref HostAssembler asm, bool vectors, bool x87)
    {
        asm.Align(16);
        byte* start = asm.Here;
        asm.JumpIf(8, HotExit);
        EmitAttention(ref asm, vectors);
        asm.JumpIf(5, StartExit);
        if (x87)
        {
            EmitX87Needed(ref asm);
            asm.JumpIf(5, StartExit);
        }

        asm.Return();
        return start;
    }

    /// <summary>Compares the attention word with zero; as a quad word, <see cref="ProcessorContext.VectorsOff"/> too.</summary>
    public static void EmitAttention(ref HostAssembler asm, bool vectors)
    {
        asm.ContextForm(0x83, 7, ContextLayout.Attention, vectors);
        asm.Byte(0);
    }

    /// <summary>Compares <see cref="ProcessorContext.X87Off"/> with zero.</summary>
    public static void EmitX87Needed(ref HostAssembler asm)
    {
        asm.ContextForm(0x83, 7, ContextLayout.X87Off, false);
        asm.Byte(0);
    }

    private static byte* EmitSaveFlags(ref HostAssembler asm)
    {
        asm.Align(16);
        byte* start = asm.Here;
        EmitSave(ref asm);
        asm.Return();
        return start;
    }

    private static byte* EmitRestoreFlags(ref HostAssembler asm)
    {
        asm.Align(16);
        byte* start = asm.Here;
        EmitRestore(ref asm);
        asm.Return();
        return start;
    }

    private byte* EmitLookUpJump(ref HostAssembler asm)
    {
        asm.Align(16);
        byte* start = asm.Here;
        int missed = EmitLookUp(ref asm);
        asm.MemoryForm(0xff, 4, Host.Temporary, ContextLayout.JumpCode, false); // JMP [entry.Code]
        asm.Bind(missed);
        asm.Jump(DispatchExit);
        return start;
    }

    private byte* EmitLookUpGuarded(ref HostAssembler asm, byte* renumberExit)
    {
        asm.Align(16);
        byte* start = asm.Here;
        asm.ContextForm(0xff, 1, ContextLayout.GuardPatience, false); // DEC DWORD
        asm.JumpIf(8, renumberExit);
        asm.Jump(LookUpJump);
        return start;
    }

    private byte* EmitFindJump(ref HostAssembler asm)
    {
        asm.Align(16);
        byte* start = asm.Here;
        int missed = EmitLookUp(ref asm);
        asm.Return();
        asm.Bind(missed);
        asm.Jump(SiteExit);
        return start;
    }

    private static byte* EmitReadTimeStamp(ref HostAssembler asm)
    {
        const int timeSize = 16;
        ReadOnlySpan<int> lost = [Host.Rcx, Host.Rsi, Host.Rdi, 8, 9];
        asm.Align(16);
        byte* start = asm.Here;
        foreach (int register in lost)
        {
            asm.Push(register);
        }

        EmitVectors(ref asm, load: false);
        asm.Move(Host.Value, Host.Rsp);
        asm.RegisterForm(0x83, 4, Host.Rsp, true); // AND
        asm.Byte(-timeSize);
        asm.RegisterForm(0x83, 5, Host.Rsp, true); // SUB
        asm.Byte(timeSize);
        asm.Move(Host.Rsi, Host.Rsp);
        asm.MoveImmediate(Host.Rdi, MonotonicClock.Number);
        asm.MoveImmediate(Host.Rax, (nint)MonotonicClock.Read);
        asm.RegisterForm(0xff, 2, Host.Rax, false); // CALL
        asm.Pop(Host.Rax);
        asm.RegisterForm(0x69, Host.Rax, Host.Rax, true); // IMUL
        asm.Dword(NanosecondsPerSecond);
        asm.Pop(Host.Rdx);
        asm.RegisterForm(0x03, Host.Rax, Host.Rdx, true); // ADD
        asm.ContextForm(0x03, Host.Rax, ContextLayout.TscLead, true);
        asm.Move(Host.Rsp, Host.Value);
        EmitVectors(ref asm, load: true);
        for (int n = lost.Length - 1; n >= 0; n--)
        {
            asm.Pop(lost[n]);
        }

        asm.Move(Host.Rdx, Host.Rax);
        asm.RegisterForm(0xc1, 5, Host.Rdx, true); // SHR 32
        asm.Byte(32);
        asm.RegisterForm(0x8b, Host.Rax, Host.Rax, false); // MOV
        asm.Return();
        return start;
    }

    private static byte* EmitExit(ref HostAssembler asm, TranslationExit reason, bool saves = false)
    {
        asm.Align(16);
        byte* start = asm.Here;
        if (reason is TranslationExit.Dispatch or TranslationExit.Renumber)
        {
            asm.StoreContext(Host.Address, ContextLayout.Rip);
        }
        else
        {
            asm.Pop(Host.Address);
            asm.StoreContext(Host.Address, ContextLayout.ExitData);
        }

        for (int guest = 0; guest < 16; guest++)
        {
            if (Host.Of(guest) >= 0)
            {
                asm.StoreContext(Host.Of(guest), ContextLayout.Register(guest));
            }
        }

        if (saves)
        {
            EmitSaveThroughRax(ref asm);
        }

        EmitVectors(ref asm, load: false);
        EmitX87(ref asm, load: false);
        asm.MoveImmediate(Host.Rax, (long)reason);
        asm.LoadContext(Host.Rsp, ContextLayout.HostStack);
        asm.RegisterForm(0x83, 0, Host.Rsp, true);
        asm.Byte(8);
        foreach (int register in (ReadOnlySpan<int>)[15, 14, 13, 12, Host.Rbp, Host.Rbx])
        {
            asm.Pop(register);
        }

        asm.Byte(0xfc); // CLD
        asm.Return();
        return start;
    }

    // Moves the x87 registers, unless they are off. FXRSTOR loads vector registers too, and FXSAVE needs MXCSR to be the host's. No host address stays in the image.
    private static void EmitX87(ref HostAssembler asm, bool load)
    {
        EmitX87Needed(ref asm);
        int skip = asm.JumpIf(5);
        asm.ContextForm(0x0fae, load ? 1 : 0, 0, true); // FXRSTOR64, FXSAVE64
        if (!load)
        {
            asm.Byte(0xdb); // FNINIT
            asm.Byte(0xe3);
            asm.Byte(0x66); // MOV WORD: FOP
            asm.ContextForm(0xc7, 0, X87Image.LastOpcode, false);
            asm.Byte(0);
            asm.Byte(0);
            foreach (int pointer in (ReadOnlySpan<int>)[X87Image.InstructionPointer, X87Image.DataPointer])
            {
                asm.ContextForm(0xc7, 0, pointer, true); // MOV QWORD
                asm.Dword(0);
            }
        }

        asm.Bind(skip);
    }

    // Moves the vector registers and MXCSR between context and host, unless they are off.
    private static void EmitVectors(ref HostAssembler asm, bool load)
    {
        asm.ContextForm(0x83, 7, ContextLayout.VectorsOff, false); // CMP DWORD
        asm.Byte(0);
        int skip = asm.JumpIf(5);
        if ((HostFeatures.All & ProcessorFeatures.Avx) == 0)
        {
            for (int register = 0; register < 16; register++)
            {
                asm.ContextForm(load ? 0x0f28 : 0x0f29, register, Vector(register), false); // MOVAPS
            }
        }
        else if (load)
        {
            EmitLoadWide(ref asm);
        }
        else
        {
            for (int register = 0; register < 16; register++)
            {
                asm.ContextVector(0x29, register, Vector(register), wide: true); // VMOVAPS
            }
        }

        if (!load)
        {
            asm.ContextForm(0x0fae, 3, ContextLayout.Mxcsr, false); // STMXCSR
        }

        asm.ContextForm(0x0fae, 2, load ? ContextLayout.Mxcsr : ContextLayout.HostMxcsr, false); // LDMXCSR
        asm.Bind(skip);
    }

    // If all upper halves are zero, the host is to know that they are: it takes them for changed otherwise, and lets each instruction that keeps one wait for the one before.
    private static void EmitLoadWide(ref HostAssembler asm)
    {
        asm.ContextVector(0x28, 0, Vector(0) + 16, wide: false); // VMOVAPS
        for (int register = 1; register < 16; register++)
        {
            asm.ContextVector(0x56, 0, Vector(register) + 16, wide: false); // VORPS
        }

        asm.Vex(0x217, 0x66, 0, 0, 0, w: false, wide: false, memory: false); // VPTEST
        int narrow = asm.JumpIf(4);
        for (int register = 0; register < 16; register++)
        {
            asm.ContextVector(0x28, register, Vector(register), wide: true);
        }

        int loaded = asm.JumpForward();
        asm.Bind(narrow);
        for (int register = 0; register < 16; register++)
        {
            asm.ContextVector(0x28, register, Vector(register), wide: false);
        }

        asm.Bind(loaded);
    }

    private static int Vector(int register) => ContextLayout.Vectors + (32 * register);
}
