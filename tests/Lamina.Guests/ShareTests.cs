using System.Security.Cryptography;
using Lamina.Cli.Images.Debian;
using Lamina.Guests.Machines;
using Lamina.Guests.Processes;

namespace Lamina.Guests;

/// <summary>Folders of the host in the guest, as <c>lamina run</c> gives them.</summary>
public sealed class ShareTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-share").FullName;

    public ShareTests()
    {
        GuestImages.Get(DebianImage.Cloud);
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void A_command_works_on_a_shared_folder()
    {
        byte[] content = RandomNumberGenerator.GetBytes(5 << 20);
        File.WriteAllBytes(Path.Combine(_directory, "data"), content);
        File.CreateSymbolicLink(Path.Combine(_directory, "etc"), "/etc/passwd");
        string sum = Convert.ToHexStringLower(SHA256.HashData(content));
        string script = "cd /src && sha256sum data && mkdir a && tar c data | tar x -C a && cmp data a/data && mv a/data a/moved && echo done >a/note && cat etc && rm etc && ls -a /src | wc -l";
        LaminaResult result = LaminaProcess.Run(null, "run", "debian", "--share", $"{_directory}:/src", "--", "sh", "-c", script);
        Assert.Equal(("", 0), (result.Error, result.Status));
        Assert.StartsWith($"{sum}  data\n", result.Text, StringComparison.Ordinal);
        Assert.Contains("nobody:x:65534", result.Text, StringComparison.Ordinal); // The guest's own file.
        Assert.DoesNotContain("/usr/sbin/nologin", result.Text, StringComparison.Ordinal);
        Assert.EndsWith("\n4\n", result.Text, StringComparison.Ordinal);
        Assert.Equal(content, File.ReadAllBytes(Path.Combine(_directory, "a/moved")));
        Assert.Equal("done\n", File.ReadAllText(Path.Combine(_directory, "a/note")));
    }

    [Fact]
    public void A_folder_shared_for_reading_stays_as_it_is()
    {
        File.WriteAllText(Path.Combine(_directory, "file"), "kept");
        LaminaResult result = LaminaProcess.Run(null, "run", "debian", "--share", $"{_directory}:/mnt/deep/er:ro", "--", "sh", "-c", "cat /mnt/deep/er/file; rm /mnt/deep/er/file; mount -o remount,rw /mnt/deep/er; echo x >/mnt/deep/er/file");
        Assert.Equal("kept", result.Text);
        Assert.NotEqual(0, result.Status);
        Assert.Equal("kept", File.ReadAllText(Path.Combine(_directory, "file")));
    }
}
