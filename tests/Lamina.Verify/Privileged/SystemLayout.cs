namespace Lamina.Verify.Privileged;

/// <summary>What is where in the 64 KiB of a <see cref="MachineImage"/>. Linear addresses below 64 KiB are the same as physical ones; in long mode those from <see cref="High"/> on, too.</summary>
internal static class SystemLayout
{
    public const ulong High = 0xffff_8000_0000_0000;
    public const int PageSize = 0x1000;
    public const int Root = 0;
    public const int Pointers = 0x1000;
    public const int Directory = 0x2000;
    public const int Table = 0x3000;
    public const int Gdt = 0x4000;
    public const int Ldt = 0x4800;
    public const int Idt = 0x5000;
    public const int Task = 0x6000;
    public const int TaskSize = 0x400;

    /// <summary>Code of CPL 0 to 2; that of CPL 3 is in the page behind it.</summary>
    public const int KernelCode = 0x7000;
    public const int UserCode = 0x8000;
    public const int KernelStack = 0x9000;
    public const int InnerStacks = 0xa000;
    public const int UserStack = 0xb000;
    public const int KernelData = 0xc000;
    public const int UserData = 0xd000;
    public const int Pages = 16;

    /// <summary>Of programs: pages of data with functions at the same offsets, which are two pages with this one.</summary>
    public const int Functions = 0xe000;

    /// <summary>Of programs: the page tables of another address space, each page of which is this one.</summary>
    public const int OtherTable = 0xf000;

    /// <summary>Of programs: pages of linear addresses that tables may map.</summary>
    public const int LinearPages = 32;

    /// <summary>Of programs: how many pages of <see cref="LargePage"/> they work on, from that of <see cref="KernelData"/> on.</summary>
    public const int LargeParts = 3;

    /// <summary>Of programs: how far behind a page its alias for CPL 3 is.</summary>
    public const int Alias = 0x1_0000;

    /// <summary>Of programs: linear address of a large page that has all of memory, with entries of eight bytes or of four.</summary>
    public static int LargePage(bool isWide) => isWide ? 0x20_0000 : 0x40_0000;

    /// <summary>Whether a byte of memory is one of a program's page tables.</summary>
    public static bool IsPageTable(ulong physical) => physical is < Gdt or >= OtherTable and < OtherTable + PageSize;

    /// <summary>In a page of code: where the instruction is.</summary>
    public const int Instruction = 0x800;

    /// <summary>In a page of code: everywhere at a multiple of this, code may go on.</summary>
    public const int Landing = 0x10;
}
