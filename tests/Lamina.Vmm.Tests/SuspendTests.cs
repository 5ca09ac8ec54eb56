using Lamina.SoftCpu;
using Lamina.Vmm.Tests.Snapshots;

namespace Lamina.Vmm.Tests;

/// <summary>A machine whose guest suspends itself to RAM: it stands still, keeps its memory, and goes on in real mode where the guest has said.</summary>
public sealed class SuspendTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-suspend").FullName;

    public static TheoryData<string> Accelerators => ["interpreter", "translator"];

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [MemberData(nameof(Accelerators))]
    public void A_guest_wakes_with_its_memory_and_can_sleep_again(string accelerator)
    {
        using EchoGuest guest = Boot(accelerator, Sleeper());
        guest.Expect(">");
        Assert.False(guest.Machine.IsAsleep);
        guest.Machine.Wake();
        foreach (char key in "aZ")
        {
            guest.Machine.Serial0.Write([(byte)key]);
            WaitForSleep(guest.Machine);
            Assert.False(guest.Machine.Completion.IsCompleted);
            guest.Machine.Wake();
            guest.Expect($"w{key}");
        }
    }

    [Fact]
    public void An_alarm_wakes_it()
    {
        using EchoGuest guest = Boot("translator", Sleeper(alarm: true));
        guest.Expect(">");
        guest.Type("a", "wa");
    }

    [Fact]
    public void A_paused_machine_wakes_when_it_goes_on()
    {
        using EchoGuest guest = Boot("translator", Sleeper());
        guest.Expect(">");
        guest.Machine.Serial0.Write("a"u8);
        WaitForSleep(guest.Machine);
        guest.Machine.Pause();
        guest.Machine.PressPowerButton();
        Assert.True(guest.Machine.IsPaused);
        guest.Expect("");
        guest.Machine.Resume();
        guest.Expect("wa");
    }

    [Fact]
    public void A_guest_that_has_not_said_where_to_wake_is_started_again()
    {
        using EchoGuest guest = Boot("translator", Sleeper(vector: 0));
        guest.Expect(">");
        guest.Machine.Serial0.Write("a"u8);
        WaitForSleep(guest.Machine);
        guest.Machine.Wake();
        guest.Expect(">");
        Assert.False(guest.Machine.IsAsleep);
    }

    [Fact]
    public void The_reset_button_starts_a_sleeping_machine_again()
    {
        using EchoGuest guest = Boot("interpreter", Sleeper());
        guest.Expect(">");
        guest.Machine.Serial0.Write("a"u8);
        WaitForSleep(guest.Machine);
        guest.Machine.PressResetButton();
        guest.Expect(">");
    }

    [Fact]
    public void A_sleeping_machine_is_saved_and_each_copy_wakes_by_itself()
    {
        string path = Path.Combine(_directory, "asleep");
        using EchoGuest guest = Boot("translator", Sleeper());
        guest.Expect(">");
        guest.Machine.Serial0.Write("a"u8);
        WaitForSleep(guest.Machine);
        guest.Machine.Snapshot(path);
        guest.Machine.Wake();
        guest.Expect("wa");

        using EchoGuest restored = EchoGuest.Restore(path, new InterpreterAccelerator());
        WaitForSleep(restored.Machine);
        restored.Machine.MoveTo(new TranslatorAccelerator());
        restored.Machine.Wake();
        restored.Expect("wa");
        restored.Machine.Serial0.Write("b"u8);
        WaitForSleep(restored.Machine);
    }

    private static EchoGuest Boot(string accelerator, byte[] program) =>
        EchoGuest.Boot(accelerator == "interpreter" ? new InterpreterAccelerator() : new TranslatorAccelerator(), program);

    private static void WaitForSleep(VirtualMachine machine) =>
        Assert.True(SpinWait.SpinUntil(() => machine.IsAsleep, TimeSpan.FromSeconds(30)), "the machine did not fall asleep");

    // Says '>', keeps what is typed at 0x7000, puts code at 0x8000 and sleeps. The code, in real mode, says 'w' and what was kept, and does so again for the next key. What is executed behind the
    // instruction that sleeps would change what was kept.
    private static byte[] Sleeper(uint vector = 0x8000, bool alarm = false)
    {
        byte[] sleep = [0xba, 0x04, 0x06, 0xb8, 0x00, 0x24, 0xef, 0xc6, 0x06, 0x00, 0x70, (byte)'!', 0xeb, 0xf9]; // mov dx, 0x604; mov ax, 0x2400; out dx, ax; more: mov byte [0x7000], '!'; jmp more
        byte[] waker =
        [
            0xba, 0xf8, 0x03, 0xb0, (byte)'w', 0xee,      // mov dx, 0x3f8; mov al, 'w'; out dx, al
            0x31, 0xc0, 0x8e, 0xd8, 0xa0, 0x00, 0x70,     // xor ax, ax; mov ds, ax; mov al, [0x7000]
            0xee,                                         // out dx, al
            0xba, 0xf9, 0x03, 0xb0, 0x01, 0xee,           // mov dx, 0x3f9; mov al, 1; out dx, al
            0xba, 0xfd, 0x03,                             // wait: mov dx, 0x3fd
            0xec, 0xa8, 0x01, 0x74, 0xf8,                 // in al, dx; test al, 1; jz wait
            0xba, 0xf8, 0x03, 0xec, 0xa2, 0x00, 0x70,     // mov dx, 0x3f8; in al, dx; mov [0x7000], al
            .. sleep,
        ];
        List<byte> program =
        [
            0x66, 0xba, 0xf8, 0x03, 0xb0, (byte)'>', 0xee,
            0x66, 0xba, 0xf9, 0x03, 0xb0, 0x01, 0xee,
            0x66, 0xba, 0xfd, 0x03,                       // wait: mov dx, 0x3fd
            0xec, 0xa8, 0x01, 0x74, 0xf7,                 // in al, dx; test al, 1; jz wait
            0x66, 0xba, 0xf8, 0x03, 0xec,                 // mov dx, 0x3f8; in al, dx
            0xa2, 0x00, 0x70, 0x00, 0x00,                 // mov [0x7000], al
        ];
        for (int i = 0; i < waker.Length; i++)
        {
            program.AddRange([0xc6, 0x05, .. BitConverter.GetBytes(0x8000 + i), waker[i]]); // mov byte [0x8000 + i], ...
        }

        program.AddRange([0xc7, 0x05, 0x0c, 0x00, 0x0e, 0x00, .. BitConverter.GetBytes(vector)]); // mov dword [0xe000c], vector
        if (alarm)
        {
            foreach ((byte register, byte value) in ((byte, byte)[])[(1, 0xff), (3, 0xff), (5, 0xff), (0x0b, 0x22)])
            {
                program.AddRange([0xb0, register, 0xe6, 0x70, 0xb0, value, 0xe6, 0x71]); // The alarm of every second.
            }

            program.AddRange([0x66, 0xba, 0x02, 0x06, 0x66, 0xb8, 0x00, 0x04, 0x66, 0xef]); // RTC_EN
        }

        program.AddRange([0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x24, 0x66, 0xef, 0xc6, 0x05, 0x00, 0x70, 0x00, 0x00, (byte)'!', 0xeb, 0xf7]);
        return [.. program];
    }
}
