using System.Runtime.InteropServices;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu;

/// <summary>
/// The state of one software processor, in native memory aligned to 64 bytes, so that emitted machine code can reach it. Only the processor's own
/// thread touches it, except <see cref="Attention"/>.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ProcessorContext
{
    /// <summary>Index in <see cref="Registers"/> that always holds zero: the base or index of an address that has none.</summary>
    public const int ZeroRegister = 16;

    /// <summary>
    /// Index in <see cref="Registers"/> of what translated code that is shared by several linear addresses (<see cref="Translate.Translation.IsShared"/>) keeps its place in: the linear address of its page. Only
    /// while such code runs.
    /// </summary>
    public const int CodePageRegister = 17;

    /// <summary>Entries of <see cref="Places"/>; a power of two.</summary>
    public const int PlaceCount = 4096;

    /// <summary>Entries of <see cref="Mappings"/> for the lower half of the address space; a power of two. They are put away with the space.</summary>
    public const int MappingsBelow = 1024;

    /// <summary>Those for the upper half; a power of two. As many pages as a kernel's code has: one that shares its entry with another is found by a look-up.</summary>
    public const int MappingsAbove = 4096;

    /// <summary>Entries of <see cref="Mappings"/>.</summary>
    public const int MappingCount = MappingsBelow + MappingsAbove;

    /// <summary>Entries of <see cref="Slots"/>: one for the stack, <see cref="LoopReads"/> for reads in loops, the others for writes there.</summary>
    public const int SlotCount = 8;

    /// <summary>Slots for reads in loops.</summary>
    public const int LoopReads = 4;

    /// <summary>Entries of <see cref="Heat"/>; a power of two.</summary>
    public const int HeatCount = 8192;

    // The first three must stay first: native code wants them aligned. Offsets 0 and 512 are known to native stubs.

    /// <summary>FXSAVE image (Intel SDM volume 1, section 10.5). Holds x87/MMX state and its control words; its XMM part and MXCSR are scratch.</summary>
    public fixed byte X87Image[512];

    /// <summary>YMM0 to YMM15, 32 bytes each; XMM registers are the low halves.</summary>
    public fixed byte Vectors[512];

    /// <summary>Aligned scratch for operands that native stubs read and write, and for instruction bytes that cross a page.</summary>
    public fixed byte Scratch[1024];

    /// <summary>RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15, zero, and the page of shared code.</summary>
    public fixed ulong Registers[18];

    /// <summary>Address of the instruction that is being executed; between blocks, of the next one. In 16- and 32-bit code the offset in CS.</summary>
    public ulong Rip;

    /// <summary>ZF is set if this is zero.</summary>
    public ulong FlagZero;

    /// <summary>SF is bit 63, PF the even parity of bits 7:0.</summary>
    public ulong FlagSign;

    /// <summary>CF (bit 0), AF (bit 4) and OF (bit 11), other bits zero.</summary>
    public uint FlagCarry;

    /// <summary>The other flags of RFLAGS: bit 1, TF, IF, DF, IOPL, NT, RF, VM, AC, VIF, VIP, ID. Change only through <see cref="Execute.Flags"/>.</summary>
    public uint SystemFlags;

    /// <summary>Bits of <see cref="AttentionBits"/>; other threads OR them in atomically, looked at between blocks. At a multiple of 8.</summary>
    public int Attention;

    /// <summary>
    /// Zero while translated code keeps the vector registers and MXCSR in the host's: they are here whenever managed code runs. Behind <see cref="Attention"/>,
    /// so that blocks with vector instructions look at both at once.
    /// </summary>
    public int VectorsOff;

    /// <summary>Current privilege level, 0 to 3 (in virtual-8086 mode 3).</summary>
    public byte Cpl;

    /// <summary>Operand/address default of the code segment: 2, 4 or 8 bytes. 8 means 64-bit mode.</summary>
    public byte CodeSize;

    /// <summary>Stack address size: 2, 4 or 8 bytes (SS.B; 8 in 64-bit mode).</summary>
    public byte StackSize;

    /// <summary>CR0.PE is set and RFLAGS.VM clear.</summary>
    public bool Protected;

    /// <summary>RFLAGS.VM is set in protected mode.</summary>
    public bool Virtual8086;

    /// <summary>EFER.LMA.</summary>
    public bool LongMode;

    /// <summary>Which register units can be used now: see <see cref="UnitGates"/>.</summary>
    public UnitGates Gates;

    /// <summary>What a handler that answered <c>false</c> wants.</summary>
    public HandlerOutcome Outcome;

    /// <summary>Exception vector, when <see cref="Outcome"/> is a fault or trap.</summary>
    public byte FaultVector;

    /// <summary>The exception has an error code.</summary>
    public bool FaultHasCode;

    /// <summary>Its error code.</summary>
    public uint FaultCode;

    /// <summary>
    /// An interrupt may be pending that RFLAGS.IF masked when it was noticed: setting IF must look again. Zero only after a look that found none.
    /// </summary>
    public bool InterruptHeld;

    /// <summary>EFER.SCE in long mode: SYSCALL and SYSRET exist.</summary>
    public bool SystemCallsEnabled;

    /// <summary>Interrupts are held off until one more instruction has been executed.</summary>
    public bool InterruptShadow;

    /// <summary>The shadow comes from a load of SS, which holds off debug traps too.</summary>
    public bool StackSegmentShadow;

    /// <summary>NMI is blocked until IRET.</summary>
    public bool NonMaskableBlocked;

    /// <summary>NMIs that have arrived and wait: at most two, and one while they are blocked.</summary>
    public byte NonMaskablePending;

    /// <summary>The processor has halted.</summary>
    public bool Halted;

    /// <summary>While it has halted: an interrupt that comes ends that even if it is masked.</summary>
    public bool HaltEndsMasked;

    /// <summary>Waiting for a start-up message.</summary>
    public bool WaitingForStartUp;

    /// <summary>Data or I/O breakpoints are armed: every access takes the slow path.</summary>
    public bool WatchesData;

    /// <summary>Instruction breakpoints are armed.</summary>
    public bool WatchesInstructions;

    /// <summary>Debug conditions found during the instruction, as DR6 bits, to be raised as traps after it.</summary>
    public uint PendingDebugTraps;

    /// <summary>ES, CS, SS, DS, FS, GS.</summary>
    public SegmentCaches Segments;

    /// <summary>Bases to add in the current mode: in 64-bit mode zero for all but FS and GS.</summary>
    public fixed ulong SegmentBase[6];

    /// <summary>LDTR.</summary>
    public SegmentCache LocalDescriptorTable;

    /// <summary>TR.</summary>
    public SegmentCache TaskRegister;

    /// <summary>GDTR.</summary>
    public ulong GdtBase;

    /// <summary>IDTR.</summary>
    public ulong IdtBase;

    /// <summary>GDTR limit.</summary>
    public ushort GdtLimit;

    /// <summary>IDTR limit.</summary>
    public ushort IdtLimit;

    /// <summary>MXCSR.</summary>
    public uint Mxcsr;

    /// <summary>CR0.</summary>
    public ulong Cr0;

    /// <summary>CR2.</summary>
    public ulong Cr2;

    /// <summary>CR3.</summary>
    public ulong Cr3;

    /// <summary>CR4.</summary>
    public ulong Cr4;

    /// <summary>XCR0.</summary>
    public ulong Xcr0;

    /// <summary>IA32_EFER.</summary>
    public ulong Efer;

    /// <summary>DR0 to DR3.</summary>
    public fixed ulong DebugAddress[4];

    /// <summary>DR6.</summary>
    public ulong Dr6;

    /// <summary>DR7.</summary>
    public ulong Dr7;

    /// <summary>IA32_STAR.</summary>
    public ulong Star;

    /// <summary>IA32_LSTAR.</summary>
    public ulong Lstar;

    /// <summary>IA32_CSTAR.</summary>
    public ulong Cstar;

    /// <summary>IA32_FMASK.</summary>
    public ulong Fmask;

    /// <summary>IA32_KERNEL_GS_BASE.</summary>
    public ulong KernelGsBase;

    /// <summary>IA32_SYSENTER_CS.</summary>
    public ulong SysenterCs;

    /// <summary>IA32_SYSENTER_ESP.</summary>
    public ulong SysenterEsp;

    /// <summary>IA32_SYSENTER_EIP.</summary>
    public ulong SysenterEip;

    /// <summary>What the time-stamp counter is ahead of the host's monotonic clock in nanoseconds, while <see cref="CountsHostTime"/> is set.</summary>
    public ulong TscLead;

    /// <summary>The time-stamp counter counts the nanoseconds of the host's monotonic clock: translated code may read it there.</summary>
    public bool CountsHostTime;

    /// <summary>IA32_TSC_AUX.</summary>
    public ulong TscAux;

    /// <summary>The first-level TLB of the current privilege (one of <see cref="TlbArrays"/>).</summary>
    public TlbEntry* Tlb;

    /// <summary>The TLBs by privilege: supervisor, user in space 0, supervisor with RFLAGS.AC (SMAP off), always-miss, user in other spaces.</summary>
    public TlbEntry* TlbArrays;

    /// <summary>The one of user accesses in the current space.</summary>
    public TlbEntry* UserTlb;

    /// <summary>Instructions retired in completed blocks.</summary>
    public ulong InstructionsRetired;

    /// <summary>A GCHandle to the managed <see cref="SoftwareProcessor"/>.</summary>
    public nint Owner;

    /// <summary>Status flags while translated code has them here: SF, ZF, AF, PF, CF in bits 15:8 as LAHF gives them, OF in bit 0.</summary>
    public ushort SavedFlags;

    /// <summary>Cached block look-ups of the current mode, for indirect branches (an array of <see cref="JumpArrays"/>).</summary>
    public Blocks.JumpEntry* Jumps;

    /// <summary>See <see cref="Blocks.JumpCache"/>: 64-bit supervisor code, 64-bit user code, the same for other code.</summary>
    public Blocks.JumpEntry* JumpArrays;

    /// <summary>The one of 64-bit user code in the current space.</summary>
    public Blocks.JumpEntry* UserJumps;

    /// <summary>What an instruction keeps while it looks further: the target of an indirect call, what PUSH has read, a control word.</summary>
    public ulong BranchTarget;

    /// <summary>Where translated code left: the data behind its last call.</summary>
    public ulong* ExitData;

    /// <summary>The host's RSP as translated code was entered: exits go back to it.</summary>
    public ulong HostStack;

    /// <summary>
    /// The host's RSP without pairs of calls and returns. There lies one whose return address is a number that the guest cannot know and no program returns to.
    /// </summary>
    public ulong ReturnStack;

    /// <summary>The host's RSP from which on no more pairs are pushed.</summary>
    public ulong ReturnLimit;

    /// <summary>Zero while translated code keeps the x87 registers in the host's, as <see cref="VectorsOff"/>. FIP, FDP and FOP are then not recorded.</summary>
    public int X87Off;

    /// <summary>MXCSR of managed code.</summary>
    public uint HostMxcsr;

    /// <summary>MXCSR that a stub runs with: the guest's rounding and denormal control, all exceptions masked, no flags.</summary>
    public uint MxcsrWork;

    /// <summary>MXCSR after a stub.</summary>
    public uint MxcsrResult;

    /// <summary>RFLAGS before and after a stub.</summary>
    public ulong StubFlags;

    /// <summary>
    /// Numbers of the mappings (linear page, physical page, privilege) through which code was fetched, by <see cref="Translate.ContextLayout.MappingSlot"/>; 0:
    /// none. A direct jump to another page is taken only while the number is the one with which it was linked.
    /// </summary>
    public fixed uint Mappings[MappingCount];

    /// <summary>
    /// Where pages of code are: by the low bits of a physical page's number (<see cref="Translate.CodeCache.PlaceNumber"/>), the linear page through which it was fetched, with the number's other bits in
    /// bits 11:0; 0: not known. A direct jump from shared code to another page is taken only while its target's page is there.
    /// </summary>
    public fixed ulong Places[PlaceCount];

    /// <summary>Jumps whose guards do not find their page's number that are still to be looked up; below zero, the page of the next one is numbered anew.</summary>
    public int GuardPatience;

    /// <summary>
    /// Copies of entries of <see cref="Tlb"/>, each a <see cref="TlbEntry"/>, beside which translated code looks first: the page of the stack, and those that
    /// loops are in. Forgotten with everything that forgets entries, and when <see cref="Tlb"/> becomes another.
    /// </summary>
    public fixed ulong Slots[2 * SlotCount];

    /// <summary>
    /// Host addresses of the windows that a translation has checked (<see cref="Translate.AccessWindow"/>): good from there to the end of the translation, and used by
    /// nothing else.
    /// </summary>
    public fixed ulong Windows[Translate.AccessWindow.Maximum];

    /// <summary>Runs that the compact translations, by a hash of their address, have left until they are worth a better one; below zero, it is time.</summary>
    public fixed int Heat[HeatCount];

    /// <summary>Told when FERR# is asserted (an x87 exception with CR0.NE clear), or null: then such exceptions are ignored, as with IGNNE#.</summary>
    public delegate*<ProcessorContext*, void> FloatingPointErrorPin;
}
