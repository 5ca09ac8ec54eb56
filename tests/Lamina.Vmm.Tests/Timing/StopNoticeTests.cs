using Lamina.Machine.Processors;
using Lamina.SoftCpu;
using Lamina.Vmm.Tests.Snapshots;

namespace Lamina.Vmm.Tests.Timing;

/// <summary>A guest that uses KVM's clock finds in its record that it stood still: after a pause, after a snapshot, and where it was restored; until it takes the flag away, and not before.</summary>
public sealed class StopNoticeTests : IDisposable
{
    // Has its clock's record at 0x310000; when something is typed, it shows the record's flags as a digit and takes all but the first away.
    private static readonly byte[] FlagShower =
    [
        0xb9, 0x01, 0x4d, 0x56, 0x4b,             // mov ecx, 0x4b564d01
        0xb8, 0x01, 0x00, 0x31, 0x00,             // mov eax, 0x310001
        0x31, 0xd2, 0x0f, 0x30,                   // xor edx, edx; wrmsr
        0x66, 0xba, 0xf9, 0x03,                   // mov dx, 0x3f9
        0xb0, 0x01, 0xee,                         // mov al, 1; out dx, al
        0x66, 0xba, 0xfd, 0x03,                   // wait: mov dx, 0x3fd
        0xec, 0xa8, 0x01, 0x74, 0xf7,             // in al, dx; test al, 1; jz wait
        0x66, 0xba, 0xf8, 0x03, 0xec,             // mov dx, 0x3f8; in al, dx
        0xa0, 0x1d, 0x00, 0x31, 0x00,             // mov al, [0x31001d]
        0x04, (byte)'0',                          // add al, '0'
        0xc6, 0x05, 0x1d, 0x00, 0x31, 0x00, 0x01, // mov byte [0x31001d], 1
        0xee, 0xeb, 0xe1,                         // out dx, al; jmp wait
    ];

    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-stops").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void The_guest_is_told_of_each_stop_once()
    {
        string path = Path.Combine(_directory, "snapshot");
        using (EchoGuest guest = EchoGuest.Boot(new TranslatorAccelerator(), FlagShower))
        {
            guest.Type("x", "1");
            guest.Machine.Pause();
            guest.Machine.Resume();
            guest.Type("x", "3");
            guest.Type("x", "1");
            guest.Machine.Snapshot(path);
            guest.Type("x", "3");
            guest.Type("x", "1");
        }

        foreach (IAccelerator accelerator in (IAccelerator[])[new InterpreterAccelerator(), new TranslatorAccelerator()])
        {
            using EchoGuest restored = EchoGuest.Restore(path, accelerator);
            restored.Type("x", "3");
            restored.Type("x", "1");
        }
    }
}
