namespace Lamina.Verify.Privileged;

/// <summary>Accesses of programs that are more than one: through several pages, in loops, of strings, and of stacks.</summary>
internal sealed partial class SystemGenerator
{
    private const int Rsi = 6;
    private const byte Repeat = 0xf3;
    private const byte Wide = 0x48;

    private void AccessMany()
    {
        switch (_random.Next(_loops ? 1 : 3))
        {
            case 0:
                AccessSeveral();
                break;
            case 1:
                WalkPages();
                break;
            default:
                MoveStrings();
                break;
        }
    }

    // Near the end of a page, which the next one follows.
    private ulong EndOf(int page) => AddressOf(page) + (ulong)(_random.OneIn(3) ? 0x800 + (8 * _random.Next(0x40)) : 0x1000 - (4 * (1 + _random.Next(16))));

    // A page that may be accessed, and now and then the next as well.
    private int FindPages(bool write)
    {
        int page = FindPage(write, fetch: false);
        for (int n = 0; n < 6 && !_random.OneIn(6) && !AllowsNext(page, write, fetch: false); n++)
        {
            page = FindPage(write, fetch: false);
        }

        return page;
    }

    // By one register, with displacements.
    private void AccessSeveral()
    {
        LoadRegister(Rbx, EndOf(FindPages(write: true)));
        for (int n = 2 + _random.Next(4); n > 0; n--)
        {
            byte displacement = (byte)((4 * _random.Next(24)) - 16);
            switch (_random.Next(3))
            {
                case 0:
                    Assemble(0x89, 0x43, displacement);
                    break;
                case 1:
                    Assemble(0xf7, 0x53, displacement);
                    break;
                default:
                    Assemble(0x8b, 0x43, displacement);
                    break;
            }
        }
    }

    // mov eax, [rbx]; mov [rbx+N], eax; lea rbx, [rbx+M]; dec edi; jne: a loop in itself.
    private void WalkPages()
    {
        LoadRegister(Rbx, EndOf(FindPages(write: true)));
        LoadRegister(Rdi, (ulong)(2 + _random.Next(14)));
        int start = _at;
        if (_random.OneIn(2))
        {
            Assemble(0x8b, 0x03);
        }

        if (_random.OneIn(2))
        {
            Assemble(0x89, 0x43, (byte)(4 * _random.Next(4)));
        }

        if (_random.OneIn(4))
        {
            Assemble(0xf7, 0x13);
        }

        if (IsLong)
        {
            Assemble(Wide);
        }

        Assemble(0x8d, 0x5b, (byte)(4 * (1 + _random.Next(4))));
        AssembleLoop(start);
    }

    private void MoveStrings()
    {
        bool moves = _random.OneIn(2);
        int target = FindPages(write: true);
        LoadRegister(Rdi, EndOf(target));
        if (moves)
        {
            LoadRegister(Rsi, EndOf(FindPages(write: false)));
        }

        LoadRegister(Rcx, (ulong)_random.Next(40));
        if (!_random.OneIn(6))
        {
            Assemble(Repeat);
        }

        int size = _random.Next(IsLong ? 3 : 2);
        if (size == 2)
        {
            Assemble(Wide);
        }

        Assemble((byte)((moves ? 0xa4 : 0xaa) | (size == 0 ? 0 : 1)));
    }

    // The stack in one of the pages that programs work on.
    private void MoveStack()
    {
        int page = FindPages(write: true);
        if (!Allows(page, write: true, fetch: false) && !_random.OneIn(8))
        {
            return;
        }

        LoadRegister(Rsp, AddressOf(page) + (ulong)(_random.OneIn(4) ? 8 * _random.Next(4) : 0x900));
        Assemble(0x53, 0x50);
        int function = FindPage(write: false, fetch: true);
        if (Allows(function, write: false, fetch: true))
        {
            CallFunction(function);
        }

        Assemble(0x5e, 0x51, 0x58, 0x5b);
        LoadRegister(Rsp, Place(SystemLayout.KernelStack + 0xe00 - (8 * _random.Next(64))));
    }
}
