using System.Text;
using Lamina.Boot;
using Lamina.Boot.Tests.Images;
using Lamina.Machine.Processors;
using Lamina.Vmm.Serial;
using Lamina.Vmm.Snapshots;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Vmm.Tests.Snapshots;

/// <summary>A machine whose guest answers what is typed.</summary>
internal sealed class EchoGuest : IDisposable
{
    // Counts typed bytes in a word of RAM and echoes each with the count added; 'q' ends with the count as status.
    public static readonly byte[] Echo =
    [
        0x66, 0xba, 0xf9, 0x03,                   // mov dx, 0x3f9
        0xb0, 0x01, 0xee,                         // mov al, 1; out dx, al: interrupts of the receiver, which also opens it
        0xbb, 0x00, 0x00, 0x30, 0x00,             // mov ebx, 0x300000
        0x66, 0xba, 0xfd, 0x03,                   // wait: mov dx, 0x3fd
        0xec, 0xa8, 0x01, 0x74, 0xf7,             // in al, dx; test al, 1; jz wait
        0x31, 0xc0,                               // xor eax, eax
        0x66, 0xba, 0xf8, 0x03, 0xec,             // mov dx, 0x3f8; in al, dx
        0xff, 0x03,                               // inc dword [ebx]
        0x3c, (byte)'q', 0x74, 0x05,              // cmp al, 'q'; je end
        0x02, 0x03, 0xee,                         // add al, [ebx]; out dx, al
        0xeb, 0xe5,                               // jmp wait
        0x8b, 0x03,                               // end: mov eax, [ebx]
        0xe7, 0xf4,                               // out 0xf4, eax
        0xf4,                                     // hlt
    ];

    // Adds 1 to a word of the page whose number is the typed byte, from 4 MiB on, and echoes the byte with that word added.
    public static readonly byte[] PageWriter =
    [
        0x66, 0xba, 0xf9, 0x03,                   // mov dx, 0x3f9
        0xb0, 0x01, 0xee,                         // mov al, 1; out dx, al
        0x66, 0xba, 0xfd, 0x03,                   // wait: mov dx, 0x3fd
        0xec, 0xa8, 0x01, 0x74, 0xf7,             // in al, dx; test al, 1; jz wait
        0x31, 0xc0,                               // xor eax, eax
        0x66, 0xba, 0xf8, 0x03, 0xec,             // mov dx, 0x3f8; in al, dx
        0x89, 0xc3, 0xc1, 0xe3, 0x0c,             // mov ebx, eax; shl ebx, 12
        0xff, 0x83, 0x00, 0x00, 0x40, 0x00,       // inc dword [ebx + 0x400000]
        0x02, 0x83, 0x00, 0x00, 0x40, 0x00,       // add al, [ebx + 0x400000]
        0xee, 0xeb, 0xdc,                         // out dx, al; jmp wait
    ];

    // Says '>' when it starts, and resets the machine when something is typed.
    public static readonly byte[] Rebooter =
    [
        0x66, 0xba, 0xf8, 0x03, 0xb0, (byte)'>', 0xee,
        0x66, 0xba, 0xf9, 0x03, 0xb0, 0x01, 0xee,
        0x66, 0xba, 0xfd, 0x03,                   // wait: mov dx, 0x3fd
        0xec, 0xa8, 0x01, 0x74, 0xf7,             // in al, dx; test al, 1; jz wait
        0xb0, 0xfe, 0xe6, 0x64,                   // mov al, 0feh; out 64h, al
        0xf4, 0xeb, 0xfd,
    ];

    private readonly MemoryCharacterOutput _output = new();
    private readonly ManualResetEventSlim _written = new();
    private string _expected = "";

    private EchoGuest(Func<MemoryCharacterOutput, MachineSettings> settings)
    {
        _output.Written += _written.Set;
        Machine = new VirtualMachine(settings(_output));
        Machine.Start();
    }

    public VirtualMachine Machine { get; }

    public static EchoGuest Boot(IAccelerator accelerator, byte[]? program = null, params IAccelerator[] compatible) => new(output => TestMachine.Settings(accelerator) with
    {
        CompatibleWith = compatible,
        Boot = new BootSource { Kernel = BootImage.FromBytes(ElfImageBuilder.Create(program ?? Echo, 0x20_0000), "program") },
        Serial0 = output,
    });

    public static EchoGuest Restore(string path, IAccelerator accelerator, Func<MachineSettings, MachineSettings>? change = null)
    {
        using MachineSnapshot snapshot = MachineSnapshot.Open(path);
        return new EchoGuest(output =>
        {
            MachineSettings settings = SnapshotSettings.Create(snapshot, accelerator) with { Serial0 = output };
            return change == null ? settings : change(settings);
        });
    }

    public void Type(string text, string answer)
    {
        Machine.Serial0.Write(Encoding.ASCII.GetBytes(text));
        Expect(answer);
    }

    public void Expect(string answer)
    {
        _expected += answer;
        while (_output.Text != _expected)
        {
            Assert.True(_written.Wait(TimeSpan.FromSeconds(20)), $"'{_expected}' did not come, but '{_output.Text}'");
            _written.Reset();
        }
    }

    public void Dispose()
    {
        Machine.Dispose();
        _written.Dispose();
    }
}
