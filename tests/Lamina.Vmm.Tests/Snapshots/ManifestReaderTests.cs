using System.Collections;
using System.Reflection;
using System.Text;
using System.Text.Json;
using Lamina.Vmm.Snapshots;

namespace Lamina.Vmm.Tests.Snapshots;

/// <summary>What is written into a manifest is read from it, all of it; what is wrong is refused, and what is unknown left alone.</summary>
public sealed class ManifestReaderTests
{
    [Fact]
    public void Every_field_is_read_back()
    {
        // A field that was added to the records and not to the reader is found here.
        int count = 0;
        SnapshotManifest manifest = (SnapshotManifest)Make(typeof(SnapshotManifest), ref count);
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(manifest, SnapshotJson.Default.SnapshotManifest);
        byte[] again = JsonSerializer.SerializeToUtf8Bytes(ManifestReader.Read(json), SnapshotJson.Default.SnapshotManifest);
        Assert.Equal(Encoding.UTF8.GetString(json), Encoding.UTF8.GetString(again));
        Assert.True(count > 40, $"only {count} fields were tried");
    }

    [Fact]
    public void Unknown_fields_are_ignored_and_null_is_kept()
    {
        SnapshotManifest manifest = Read("""{"later":{"a":[1,{"b":null}]},"name":null,"ports":null,"disks":[null,{"path":"a","shadow":[[]]}],"cpuid":[[1,2],null],"socketAddress":null,"balloon":null,"format":7,"format":2}""");
        Assert.Null(manifest.Name);
        Assert.Null(manifest.Ports);
        Assert.Null(manifest.Disks[0]);
        Assert.Equal("a", manifest.Disks[1].Path);
        Assert.Equal([1u, 2u], manifest.Cpuid[0]);
        Assert.Null(manifest.Cpuid[1]);
        Assert.Null(manifest.SocketAddress);
        Assert.Equal(2, manifest.Format);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{} {}")]
    [InlineData("{")]
    [InlineData("""{"format":"1"}""")]
    [InlineData("""{"format":1.5}""")]
    [InlineData("""{"format":99999999999}""")]
    [InlineData("""{"memoryBytes":-1}""")]
    [InlineData("""{"hasConsole":null}""")]
    [InlineData("""{"name":1}""")]
    [InlineData("""{"disks":{}}""")]
    [InlineData("""{"disks":[1]}""")]
    [InlineData("""{"cpuid":[[null]]}""")]
    [InlineData("""{"labels":{"a":{}}}""")]
    [InlineData("""{"x":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}""")]
    public void What_makes_no_sense_is_refused(string json)
    {
        SnapshotException failure = Assert.Throws<SnapshotException>(() => Read(json));
        Assert.Contains("manifest.json", failure.Message, StringComparison.Ordinal);
    }

    private static SnapshotManifest Read(string json) => ManifestReader.Read(Encoding.UTF8.GetBytes(json));

    // A value that no field has of itself.
    private static object Make(Type type, ref int count)
    {
        count++;
        Type plain = Nullable.GetUnderlyingType(type) ?? type;
        if (plain == typeof(string))
        {
            return $"text {count}";
        }

        if (plain == typeof(bool))
        {
            return true;
        }

        if (plain.IsPrimitive)
        {
            return Convert.ChangeType(count, plain, System.Globalization.CultureInfo.InvariantCulture);
        }

        if (plain.IsArray)
        {
            Array array = Array.CreateInstance(plain.GetElementType()!, 2);
            array.SetValue(Make(plain.GetElementType()!, ref count), 0);
            array.SetValue(Make(plain.GetElementType()!, ref count), 1);
            return array;
        }

        object made = Activator.CreateInstance(plain)!;
        if (made is IDictionary dictionary)
        {
            dictionary.Add("key", "value");
            return made;
        }

        foreach (PropertyInfo property in plain.GetProperties().Where(static p => p.CanWrite))
        {
            property.SetValue(made, Make(property.PropertyType, ref count));
        }

        return made;
    }
}
