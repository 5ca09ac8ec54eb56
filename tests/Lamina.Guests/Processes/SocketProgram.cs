using System.Buffers.Binary;
using System.Text;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Guests.Processes;

/// <summary>
/// A program for a guest whose image has none that knows vsock: connects to a port of the host, or listens at a port of its own, and runs a shell command with the connection as
/// its input and output. A static ELF file, written with an assembler.
/// </summary>
internal static class SocketProgram
{
    private const ulong Image = 0x40_0000;
    private const int HeaderLength = 120;
    private const int Family = 40;
    private const uint AnyAddress = 0xffff_ffff;
    private const int Close = 3;
    private const int Duplicate = 33;
    private const int Socket = 41;
    private const int Connect = 42;
    private const int Accept = 43;
    private const int Bind = 49;
    private const int Listen = 50;
    private const int Fork = 57;
    private const int Execute = 59;
    private const int Exit = 60;

    /// <summary>Connects, and becomes the command. Ends with status 1 if nobody listens.</summary>
    public static byte[] CreateClient(uint address, uint port, string command) => Create(address, port, command, listens: false);

    /// <summary>Listens, goes into the background, and runs the command for each connection.</summary>
    public static byte[] CreateServer(uint port, string command) => Create(AnyAddress, port, command, listens: true);

    private static byte[] Create(uint address, uint port, string command, bool listens)
    {
        // The length of the code does not depend on where the data is.
        byte[] code = Assemble(address: 0, listens);
        ulong data = Image + HeaderLength + (ulong)code.Length;
        code = Assemble(data, listens);
        List<byte> file = [.. new byte[HeaderLength], .. code];
        byte[] socketAddress = new byte[16];
        BinaryPrimitives.WriteUInt16LittleEndian(socketAddress, Family);
        BinaryPrimitives.WriteUInt32LittleEndian(socketAddress.AsSpan(4), port);
        BinaryPrimitives.WriteUInt32LittleEndian(socketAddress.AsSpan(8), address);
        ulong strings = data + 48;
        byte[] vector = new byte[32];
        BinaryPrimitives.WriteUInt64LittleEndian(vector, strings + 5);
        BinaryPrimitives.WriteUInt64LittleEndian(vector.AsSpan(8), strings + 8);
        BinaryPrimitives.WriteUInt64LittleEndian(vector.AsSpan(16), strings + 11);
        file.AddRange([.. socketAddress, .. vector, .. "/bin/sh\0-c\0"u8, .. Encoding.ASCII.GetBytes(command), 0]);
        return WriteHeader([.. file]);
    }

    // At the address: struct sockaddr_vm, the arguments' addresses, "/bin/sh", "-c", the command.
    private static byte[] Assemble(ulong address, bool listens)
    {
        Assembler a = new(64);
        Label failed = a.CreateLabel();
        Label again = a.CreateLabel();
        Label child = a.CreateLabel();
        Call(a, Socket, Family, 1, 0);
        a.mov(ebx, eax);
        a.mov(edi, ebx);
        a.mov(rsi, address);
        a.mov(edx, 16);
        a.mov(eax, listens ? Bind : Connect);
        a.syscall();
        a.test(eax, eax);
        a.js(failed);
        if (listens)
        {
            a.mov(edi, ebx);
            a.mov(esi, 16);
            a.mov(eax, Listen);
            a.syscall();
            Call(a, Fork);
            a.test(eax, eax);
            a.jne(failed);
            a.mov(ebp, ebx);
            a.Label(ref again);
            a.mov(edi, ebp);
            a.xor(esi, esi);
            a.xor(edx, edx);
            a.mov(eax, Accept);
            a.syscall();
            a.mov(ebx, eax);
            Call(a, Fork);
            a.test(eax, eax);
            a.je(child);
            a.mov(edi, ebx);
            a.mov(eax, Close);
            a.syscall();
            a.jmp(again);
            a.Label(ref child);
        }

        for (int descriptor = 0; descriptor < 2; descriptor++)
        {
            a.mov(edi, ebx);
            a.mov(esi, descriptor);
            a.mov(eax, Duplicate);
            a.syscall();
        }

        a.mov(edi, ebx);
        a.mov(eax, Close);
        a.syscall();
        a.mov(rdi, address + 48);
        a.mov(rsi, address + 16);
        a.xor(edx, edx);
        a.mov(eax, Execute);
        a.syscall();
        a.Label(ref failed);
        a.mov(edi, eax);
        a.shr(edi, 31);
        a.mov(eax, Exit);
        a.syscall();
        using MemoryStream stream = new();
        a.Assemble(new StreamCodeWriter(stream), Image + HeaderLength);
        return stream.ToArray();
    }

    private static void Call(Assembler a, int number, params ReadOnlySpan<int> arguments)
    {
        AssemblerRegister32[] registers = [edi, esi, edx];
        for (int i = 0; i < arguments.Length; i++)
        {
            a.mov(registers[i], arguments[i]);
        }

        a.mov(eax, number);
        a.syscall();
    }

    private static byte[] WriteHeader(byte[] file)
    {
        ReadOnlySpan<byte> identification = [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        identification.CopyTo(file);
        Put(16, 2, 2);
        Put(18, 62, 2);
        Put(20, 1, 4);
        Put(24, Image + HeaderLength, 8);
        Put(32, 64, 8);
        Put(52, 64, 2);
        Put(54, 56, 2);
        Put(56, 1, 2);
        Put(64, 1, 4);
        Put(68, 7, 4);
        Put(80, Image, 8);
        Put(88, Image, 8);
        Put(96, (ulong)file.Length, 8);
        Put(104, (ulong)file.Length, 8);
        Put(112, 4096, 8);
        return file;

        void Put(int offset, ulong value, int length)
        {
            for (int i = 0; i < length; i++)
            {
                file[offset + i] = (byte)(value >> (8 * i));
            }
        }
    }
}
