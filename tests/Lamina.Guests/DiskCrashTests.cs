using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Lamina.Cli.Images.Debian;
using Lamina.Guests.Machines;
using Lamina.Guests.Processes;
using Lamina.Interop.Files;
using Lamina.Storage;

namespace Lamina.Guests;

/// <summary>
/// <c>lamina disk</c> killed at random points of its work: each time the images are whole but for lost space, the disk is what it was, and doing it again succeeds. <c>LAMINA_CRASHES</c> says how
/// often it is killed.
/// </summary>
public sealed class DiskCrashTests : IDisposable
{
    private const int DiskLength = 48 << 20;
    private const int Part = 1 << 20;
    private const int DefaultCrashes = 5;
    private const int Attempts = 8;
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-crash").FullName;
    private readonly byte[] _model = new byte[DiskLength];
    private readonly byte[] _buffer = GC.AllocateArray<byte>(Part, pinned: true);

    private string Top => Path.Combine(_directory, "top.qcow2");

    private string Below => Path.Combine(_directory, "below.qcow2");

    private string Other => Path.Combine(_directory, "other.qcow2");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData("commit")]
    [InlineData("rebase")]
    [InlineData("resize")]
    public void WhatIsKilledLeavesTheDiskAsItWas(string what)
    {
        int crashes = int.TryParse(Environment.GetEnvironmentVariable("LAMINA_CRASHES"), CultureInfo.InvariantCulture, out int asked) ? asked : DefaultCrashes;
        int seed = int.TryParse(Environment.GetEnvironmentVariable("LAMINA_CRASH_SEED"), CultureInfo.InvariantCulture, out int given) ? given : Random.Shared.Next();
        Random random = new(seed);
        TestContext.Current.SendDiagnosticMessage($"LAMINA_CRASH_SEED={seed}");
        Make(random);
        string[] command = what switch
        {
            "commit" => ["disk", "commit", Top],
            "rebase" => ["disk", "rebase", Top, "--backing", Other],
            _ => ["disk", "resize", Top, "900G"],
        };

        // How long it takes, on copies.
        Copy("saved");
        Stopwatch watch = Stopwatch.StartNew();
        Assert.Equal(0, Start(command, null));
        int whole = (int)watch.ElapsedMilliseconds;
        CheckImages(what, finished: true);
        int killed = 0;
        for (int i = 0; killed < crashes && i < crashes * Attempts; i++)
        {
            if (i % 3 == 0)
            {
                Restore("saved");
            }

            watch.Restart();
            if (Start(command, random.Next(whole / 4, whole)) != 0)
            {
                killed++;
            }
            else
            {
                // It can be faster than the first time.
                whole = Math.Min(whole, Math.Max((int)watch.ElapsedMilliseconds, 8));
            }

            CheckImages(what, finished: false);
        }

        Assert.True(killed > 0, "It was never killed.");
        Assert.Equal(0, Start(command, null));
        CheckImages(what, finished: true);
    }

    [Fact]
    public void AMachineThatIsKilledWhileItWritesLeavesWhatWasFlushed()
    {
        GuestImages.Get(DebianImage.Cloud);
        Random random = new();
        string disk = Path.Combine(_directory, "guest.qcow2");
        DiskImages.Create(disk, DiskFormat.Qcow2, DiskLength, null);

        // What is flushed is in the first half; then the second is written until the end comes.
        const string Script = "for i in 0 1 2 3 4 5 6 7; do yes $i | head -c 65536 | dd of=/dev/vda bs=64k seek=$((i * 37)) conv=fsync 2>/dev/null; done; echo flushed; while :; do for i in 400 500 600; do dd if=/dev/urandom of=/dev/vda bs=64k seek=$i count=90 conv=fsync 2>/dev/null; done; done";
        ProcessStartInfo start = new("dotnet", ["exec", LaminaProcess.Program, "run", "debian", "--disk", disk, "--", "sh", "-c", Script]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        start.Environment["XDG_DATA_HOME"] = LaminaProcess.NoImages;
        using (Process process = Process.Start(start)!)
        {
            Assert.Equal("flushed", process.StandardOutput.ReadLine());
            process.WaitForExit(random.Next(2000));
            process.Kill();
            process.WaitForExit();
        }

        DiskCheckResult result = DiskMaintenance.Check(disk, null, DiskRepair.None, null);
        Assert.True(result.Errors == 0, string.Join('\n', result.Problems));
        using DiskImage image = DiskImages.Open(disk, null, writable: true);
        for (int i = 0; i < 8; i++)
        {
            Assert.Equal(0, image.Read((ulong)i * 37 * 65536, [Vector(65536)]));
            Assert.Equal(string.Concat(Enumerable.Repeat($"{i}\n", 32768)), System.Text.Encoding.ASCII.GetString(_buffer, 0, 65536));
        }
    }

    private void Make(Random random)
    {
        DiskImages.Create(Below, DiskFormat.Qcow2, DiskLength, null);
        Fill(Below, random, 60);
        DiskImages.Create(Other, DiskFormat.Qcow2, DiskLength, null);
        byte[] kept = [.. _model];
        Fill(Other, random, 60);
        kept.CopyTo(_model, 0);
        DiskImages.Create(Top, DiskFormat.Qcow2, null, Below);
        Fill(Top, random, 60);
    }

    private void Fill(string path, Random random, int count)
    {
        using DiskImage image = DiskImages.Open(path, null, writable: true);
        for (int i = 0; i < count; i++)
        {
            int at = random.Next((DiskLength - Part) / 512) * 512;
            int length = random.Next(1, Part / 512) * 512;
            random.NextBytes(_buffer.AsSpan(0, length));
            Assert.Equal(0, image.Write((ulong)at, [Vector(length)]));
            _buffer.AsSpan(0, length).CopyTo(_model.AsSpan(at));
        }
    }

    private void CheckImages(string what, bool finished)
    {
        foreach (string path in (string[])[Top, Below, Other])
        {
            DiskCheckResult result = DiskMaintenance.Check(path, null, DiskRepair.None, null);
            Assert.True(result.Errors == 0, $"'{path}': {string.Join('\n', result.Problems)}");
        }

        using DiskImage image = DiskImages.Open(finished && what == "commit" ? Below : Top, null, writable: false);
        for (int at = 0; at < DiskLength; at += Part)
        {
            Assert.Equal(0, image.Read((ulong)at, [Vector(Part)]));
            Assert.True(_buffer.AsSpan().SequenceEqual(_model.AsSpan(at, Part)), $"The disk is not what it was, somewhere after {at}.");
        }

        if (finished && what == "rebase")
        {
            Assert.Equal(Other, image.BackingPath);
        }
        else if (finished && what == "resize")
        {
            Assert.Equal(900UL << 30, image.Length);
        }
    }

    private void Copy(string suffix)
    {
        foreach (string path in (string[])[Top, Below, Other])
        {
            File.Copy(path, $"{path}.{suffix}", overwrite: true);
        }
    }

    private void Restore(string suffix)
    {
        foreach (string path in (string[])[Top, Below, Other])
        {
            File.Copy($"{path}.{suffix}", path, overwrite: true);
        }
    }

    // Its exit status; it is killed if it has not ended after so many milliseconds.
    private static int Start(string[] command, int? milliseconds)
    {
        using Process process = Process.Start(new ProcessStartInfo("dotnet", ["exec", LaminaProcess.Program, .. command]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        if (milliseconds == null)
        {
            string error = process.StandardError.ReadToEnd();
            process.WaitForExit();
            Assert.True(process.ExitCode == 0, error);
        }
        else if (!process.WaitForExit(milliseconds.Value))
        {
            process.Kill();
            process.WaitForExit();
        }

        return process.ExitCode;
    }

    private IoVector Vector(int length) => new(Marshal.UnsafeAddrOfPinnedArrayElement(_buffer, 0), (nuint)length);
}
